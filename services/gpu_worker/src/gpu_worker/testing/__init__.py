"""Fakes of the engine and of the worker's place, and the suites that they and the real ones both pass."""

from gpu_worker.testing.places import PlaceConformance, RememberingPlace
from gpu_worker.testing.scripted import PNG, Script, ScriptedEngine, failing, instantly, stepping, until_killed

__all__ = [
    "PNG",
    "PlaceConformance",
    "RememberingPlace",
    "Script",
    "ScriptedEngine",
    "failing",
    "instantly",
    "stepping",
    "until_killed",
]
