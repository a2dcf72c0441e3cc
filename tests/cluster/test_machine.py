from tests.cluster.machine import what_is_missing


def test_nobody_but_root_makes_a_node() -> None:
    assert "root" in what_is_missing(1000, find=lambda _: "/usr/bin/it")


def test_what_to_install_is_said_once_each() -> None:
    def find(program: str) -> str | None:
        return None if program in ("ctr", "containerd", "buildah") else program

    assert what_is_missing(0, find).endswith("apt-get install --no-install-recommends buildah containerd")


def test_nothing_is_missing() -> None:
    assert what_is_missing(0, find=lambda program: program) == ""
