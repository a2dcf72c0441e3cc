"""Builds Dapr's control plane of the pinned version, and prints the folder that holds it and its official chart.

The folder holds `sentry`, `injector`, `operator`, `placement` and the folder `chart`. Beside `daprd` and `scheduler`,
which dapr-components/runtime/install.py finds or builds, that is all that the chart runs. Some minutes the first time,
nothing after.

Needs nothing but the standard library and Go. Progress goes to stderr. Run with dapr-components/runtime on PYTHONPATH.
"""

import shutil
from pathlib import Path

from install import HERE as RUNTIME
from install import build_programs, cache_folder, say
from install_kubernetes import source_of

PROGRAMS = ("sentry", "injector", "operator", "placement")
FOLDER = cache_folder().with_name(f"{cache_folder().name}-control-plane")


def main() -> None:
    if not FOLDER.is_dir():
        build()
    print(FOLDER)


def build() -> None:
    say("building Dapr's control plane from source; 2 to 6 minutes on two cores, once per machine")
    programs = FOLDER.with_name(f"{FOLDER.name}.programs")
    build_programs(PROGRAMS, programs)
    chart: Path = source_of("github.com/dapr/dapr", RUNTIME) / "charts" / "dapr"
    shutil.copytree(chart, programs / "chart", copy_function=shutil.copyfile)
    programs.rename(FOLDER)


if __name__ == "__main__":
    main()
