"""Where the fork server enters the child. Importing this imports nothing heavy, so the supervisor can."""

from multiprocessing.connection import Connection

from gpu_worker.protocol import EngineOptions


def enter(connection: "Connection[bytes, bytes]", options: EngineOptions) -> None:
    from gpu_worker.engine.child import main  # noqa: PLC0415 - torch and diffusers belong to the child alone

    main(connection, options)
