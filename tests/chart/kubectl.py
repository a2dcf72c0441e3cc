"""kubectl as tests use it."""

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

Object = dict[str, Any]

WITHIN_SECONDS = 120


class Refused(Exception):
    """What kubectl or Helm said when it did not do as it was told."""


def run(command: list[str], given: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    answer = subprocess.run(
        command, input=given, env=environment, check=False, capture_output=True, text=True, timeout=300
    )
    if answer.returncode != 0:
        raise Refused(f"{answer.stdout}{answer.stderr}".strip())
    return answer.stdout


@dataclass(frozen=True)
class Kubectl:
    program: Path
    kubeconfig: Path
    namespace: str = "default"
    token: str | None = None
    """Of somebody else than the administrator."""

    def __call__(self, *arguments: str, given: str | None = None) -> str:
        """What it prints. Raises `Refused`."""
        command = [str(self.program), "kubectl", "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace]
        if self.token is not None:
            command += ["--token", self.token]
        return run([*command, *arguments], given)

    def answers(self) -> bool:
        try:
            return self("get", "--raw", "/readyz") == "ok"
        except Refused:
            return False

    def apply(self, *objects: Object, dry_run: bool = False) -> None:
        """Every field must be known. A dry run goes through everything on the server and keeps nothing."""
        how = ["--dry-run=server"] if dry_run else []
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self("apply", "--server-side", "--validate=strict", *how, "--filename", "-", given=listed)

    def get(self, *arguments: str) -> list[Object]:
        found: list[Object] = json.loads(self("get", *arguments, "--output", "json"))["items"]
        return found

    def as_service_account(self, name: str) -> "Kubectl":
        """As whoever has a service account's token, which is what a pod would be given."""
        return replace(self, token=self("create", "token", name).strip())

    def may(self, verb: str, what: str) -> bool:
        try:
            self("auth", "can-i", verb, what, "--quiet")
        except Refused:
            return False
        return True


def until(true: Callable[[], object], within: float = WITHIN_SECONDS) -> None:
    """Waits for what a controller is about to do."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)
