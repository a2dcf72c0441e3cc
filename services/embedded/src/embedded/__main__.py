"""`run` keeps the platform running on this machine; `demo` shows what it does."""

import argparse
import asyncio
import sys

from pydantic import ValidationError

from embedded.settings import EmbeddedSettings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m embedded", description=__doc__)
    parser.add_argument("command", choices=["run", "demo"])
    command = parser.parse_args().command
    try:
        settings = EmbeddedSettings()
        if command == "run":
            _run(settings)
        else:
            _demo(settings)
    except ValidationError as error:
        sys.exit(f"A setting is missing or wrong; `make {command}` knows them all.\n{error}")


def _run(settings: EmbeddedSettings) -> None:
    from chassis.logs import configure_logs  # noqa: PLC0415 - the demo starts sooner without the services
    from contracts.catalog import CatalogError  # noqa: PLC0415

    from embedded.processes import ProcessFailed  # noqa: PLC0415
    from embedded.running import AlreadyRunning, run  # noqa: PLC0415

    configure_logs(settings.log_level)
    try:
        run(settings)
    except (AlreadyRunning, ProcessFailed, CatalogError) as error:
        sys.exit(str(error))


def _demo(settings: EmbeddedSettings) -> None:
    from embedded.demo import DemoFailed, show  # noqa: PLC0415

    try:
        everything_made = asyncio.run(show(settings))
    except DemoFailed as error:
        sys.exit(str(error))
    if not everything_made:
        sys.exit("Not everything was made; the table says what.")


if __name__ == "__main__":
    main()
