"""What a machine needs before it can be a node. `python -m tests.cluster.machine` says what is missing."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

CNI = Path("/usr/lib/cni")
PACKAGES: Mapping[str, str] = {
    "buildah": "buildah",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "ctr": "containerd",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "runc": "runc",
    str(CNI / "bridge"): "containernetworking-plugins",
}
"""The Debian package of each program."""
CHANGED_BY_NODES = [
    Path("/proc/sys") / name
    for name in (
        "kernel/panic",
        "kernel/panic_on_oops",
        "net/ipv4/conf/all/route_localnet",
        "net/ipv4/ip_forward",
        "vm/overcommit_memory",
    )
]


def what_is_missing(user: int, find: Callable[[str], str | None] = shutil.which) -> str:
    """Nothing, or a sentence that says what to do. `user` is the id of whoever asks."""
    if user != 0:
        return "A node of Kubernetes makes containers, networks and mounts, so this needs root."
    if missing := sorted({package for program, package in PACKAGES.items() if find(program) is None}):
        return f"Missing here: apt-get install --no-install-recommends {' '.join(missing)}"
    return ""


def run(*command: str, given: str | None = None) -> str:
    """What it prints. Raises `RuntimeError` with what it says on failing."""
    answer = subprocess.run(command, input=given, check=False, capture_output=True, text=True)
    if answer.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {answer.stdout[-2000:]}{answer.stderr[-2000:]}")
    return answer.stdout


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines()


@contextmanager
def left_as_it_was(kube_proxy: list[str]) -> Iterator[None]:
    """Takes back what a node does to the machine it is on. `kube_proxy` is the command that starts one."""
    before = {path: path.read_text() for path in CHANGED_BY_NODES}
    try:
        yield
    finally:
        run(*kube_proxy, "--cleanup")
        for command in ("iptables", "ip6tables"):
            _remove_kubelet_rules(command)
        for namespace in run("ip", "netns", "list").split():
            if namespace.startswith("cni-"):
                run("ip", "netns", "delete", namespace)
        for path, value in before.items():
            if path.read_text() != value:
                path.write_text(value)
        pods = [path for path in Path("/sys/fs/cgroup").rglob("*") if path.is_dir() and "kubepods" in str(path)]
        for path in sorted(pods, reverse=True):
            path.rmdir()


def traces_of_nodes() -> set[str]:
    """What a node has on a machine while it is there."""
    rules = run("iptables-save") + run("ip6tables-save")
    links = json.loads(run("ip", "-json", "link", "show"))
    mounts = [line.split()[1] for line in lines_of(Path("/proc/mounts"))]
    processes = run("ps", "-eo", "args").splitlines()
    return {
        *(rule for rule in rules.splitlines() if "KUBE-" in rule and not rule.startswith(":")),
        *(link["ifname"] for link in links if link.get("ifname", "").startswith(("veth", "movie-tasks"))),
        *(mount for mount in mounts if "/netns/cni-" in mount or "/kubelet/pods/" in mount or "/containerd/" in mount),
        *(process for process in processes if process.startswith("/usr/bin/containerd-shim")),
        *(str(path) for path in Path("/sys/fs/cgroup").glob("**/kubepods")),
        *(f"{path} {path.read_text().strip()}" for path in CHANGED_BY_NODES),
    }


def _remove_kubelet_rules(command: str) -> None:
    for table in ("filter", "mangle", "nat"):
        rules = run(command, "--table", table, "--list-rules").splitlines()
        chains = [rule.split()[1] for rule in rules if rule.startswith("-N KUBE-")]
        for rule in rules:
            if rule.startswith("-A") and any(f" {chain}" in rule for chain in chains):
                run(command, "--table", table, *shlex.split(rule.replace("-A", "-D", 1)))
        for chain in chains:
            run(command, "--table", table, "--delete-chain", chain)


@contextmanager
def a_bridge(name: str, address: str) -> Iterator[None]:
    run("ip", "link", "add", name, "type", "bridge")
    try:
        run("ip", "address", "add", address, "dev", name)
        run("ip", "link", "set", name, "up")
        yield
    finally:
        run("ip", "link", "delete", name)


if __name__ == "__main__":
    sys.exit(what_is_missing(os.geteuid()) or 0)
