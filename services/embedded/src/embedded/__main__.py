"""`python -m embedded run` keeps the platform running; `python -m embedded demo` shows what it does."""

import argparse
import sys

from chassis.logs import configure_logs
from contracts.catalog import CatalogError

from embedded.processes import ProcessFailed
from embedded.running import AlreadyRunning, run
from embedded.settings import EmbeddedSettings


def main() -> None:
    parser = argparse.ArgumentParser(prog="embedded", description=__doc__)
    parser.add_argument("command", choices=["run"])
    parser.parse_args()
    settings = EmbeddedSettings()
    configure_logs(settings.log_level)
    try:
        run(settings)
    except (AlreadyRunning, ProcessFailed, CatalogError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
