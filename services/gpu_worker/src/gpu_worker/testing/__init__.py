"""The engine's fake, and the suite that it and the real engine both pass."""

from gpu_worker.testing.scripted import PNG, Script, ScriptedEngine, failing, instantly, until_killed

__all__ = ["PNG", "Script", "ScriptedEngine", "failing", "instantly", "until_killed"]
