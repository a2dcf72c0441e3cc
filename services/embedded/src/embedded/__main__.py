"""`demo` and `demo-movie` show what the platform does; `run` keeps it running for a person, `serve` for a program."""

import argparse
import asyncio
import sys
from pathlib import Path

from dotenv import load_dotenv
from pydantic import ValidationError

from embedded.settings import EmbeddedSettings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m embedded", description=__doc__)
    parser.add_argument("command", choices=["demo", "demo-movie", "run", "serve"])
    command = parser.parse_args().command
    if command != "serve":
        load_dotenv(Path(".env"))
    try:
        settings = EmbeddedSettings()
        if command.startswith("demo"):
            _demo(settings, of_a_movie=command == "demo-movie")
        else:
            _run(settings, for_a_person=command == "run")
    except ValidationError as error:
        sys.exit(f"A setting is wrong; .env.example says what each may be. All begin with MOVIE_TASKS_.\n{error}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")


def _run(settings: EmbeddedSettings, *, for_a_person: bool) -> None:
    from chassis.logs import configure_logs  # noqa: PLC0415 - each command imports only its own
    from contracts.catalog import CatalogError  # noqa: PLC0415

    from embedded.greeting import greet  # noqa: PLC0415
    from embedded.processes import ProcessFailed  # noqa: PLC0415
    from embedded.running import AlreadyRunning, run  # noqa: PLC0415

    configure_logs(settings.log_level, json=not (for_a_person and sys.stderr.isatty()))
    try:
        run(settings, when_up=greet if for_a_person else None)
    except (AlreadyRunning, ProcessFailed, CatalogError) as error:
        sys.exit(str(error))


def _demo(settings: EmbeddedSettings, *, of_a_movie: bool) -> None:
    from embedded import demo, movie  # noqa: PLC0415
    from embedded.demo_platform import DemoFailed  # noqa: PLC0415
    from embedded.own_project import ProjectFailed  # noqa: PLC0415

    try:
        everything_made = asyncio.run(movie.show(settings) if of_a_movie else demo.show(settings))
    except (DemoFailed, ProjectFailed) as error:
        sys.exit(str(error))
    if not everything_made:
        sys.exit("Not everything was made; the table says what.")


if __name__ == "__main__":
    main()
