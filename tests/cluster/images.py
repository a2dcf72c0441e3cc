"""The images that pods are made of: built here by buildah from the project's own Dockerfile, kept by containerd.

An image is built again when something that it is made from has changed, and else found where the last run left it.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cluster.plan import MODULES

from tests.chart.helm import ROOT
from tests.cluster.machine import run
from tests.cluster.runtime import Runtime

CONTAINERFILES = ROOT / "k8s" / "testbed" / "images"
DOCKERFILE = ROOT / "services" / "Dockerfile"
REGISTRY = "localhost"
"""Nobody asks it for anything: all images are here."""
TAG, NEXT_TAG = "test", "next"
DAPR_PROGRAMS = ("daprd", "scheduler", "sentry", "injector", "operator", "placement")
CERTIFICATES = Path("/etc/ssl/certs")
LOCKED = (DOCKERFILE, ROOT / "pyproject.toml", ROOT / "uv.lock", ROOT / "services" / "contracts")
NOT_IN_IMAGES = {"__pycache__", "training", "checkpoints", "node_modules", ".venv"}


@dataclass(frozen=True)
class Image:
    name: str
    containerfile: Path
    made_from: Sequence[Path]
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    context: Path = ROOT

    @property
    def reference(self) -> str:
        """With what it is made from in its tag."""
        digest = hashlib.sha256(repr((self.target, sorted(self.arguments.items()))).encode())
        for path in sorted(file for source in (self.containerfile, *self.made_from) for file in _files(source)):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return f"{REGISTRY}/{self.name}:{digest.hexdigest()[:16]}"


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.name not in NOT_IN_IMAGES:
        for inner in path.iterdir():
            yield from _files(inner)


def service_images(python_image: str) -> list[Image]:
    """One of each kind of pod of the chart's, as the Dockerfile's first lines build them."""

    def image(name: str, target: str, *sources: str, **arguments: str) -> Image:
        made_from = (*LOCKED, *(ROOT / source for source in sources))
        return Image(name, DOCKERFILE, made_from, target, {"PYTHON_IMAGE": python_image, **arguments})

    def service(package: str, target: str = "service") -> Image:
        name = f"movie-tasks-{package.replace('_', '-')}"
        return image(name, target, "services/chassis", f"services/{package}", SERVICE=package)

    return [
        image("movie-tasks-topics", "topics", "dapr-components/topics"),
        *(service(package) for package in MODULES.values()),
        service("gpu_worker", "worker"),
    ]


@dataclass(frozen=True)
class Images:
    """`folder` is where buildah keeps what it builds from."""

    folder: Path
    runtime: Runtime

    def python(self) -> Image:
        """What stands in for the official image, which needs a registry."""
        image = Image("python", CONTAINERFILES / "python.Containerfile", ())
        if self._has(image):
            return image
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            packages = "--include=ca-certificates,python3,python3-pip,python-is-python3"
            run("mmdebstrap", "--variant=minbase", packages, "bookworm", f"{name}/base.tar")
            self._build(Image(image.name, image.containerfile, (), context=Path(name)), image.reference)
        return image

    def load(self, image: Image, *names: str) -> None:
        """Under these names, each with its tag."""
        reference = image.reference
        if reference not in self.runtime.images():
            if not self._has(image):
                self._build(image, reference)
            self._hand_over(reference)
            self._forget_all_but(reference)
        self.runtime.unpack(reference)
        for name in names:
            self.runtime("images", "tag", "--force", reference, f"{REGISTRY}/{name}")

    def load_dapr(self, python: Image, folders: Sequence[Path], version: str) -> None:
        """`folders` hold Dapr's programs."""
        found = {
            program: next(folder / program for folder in folders if (folder / program).is_file())
            for program in DAPR_PROGRAMS
        }
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            for program, path in found.items():
                shutil.copy(path, Path(name) / program)
            image = Image(
                "dapr",
                CONTAINERFILES / "dapr.Containerfile",
                (Path(name),),
                arguments={"PYTHON_IMAGE": python.reference},
                context=Path(name),
            )
            self.load(image, *(f"dapr/{program}:{version}" for program in DAPR_PROGRAMS))

    def _has(self, image: Image) -> bool:
        command = [*self._buildah, "inspect", "--type=image", image.reference]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def _build(self, image: Image, reference: str) -> None:
        """What trusts whom is the machine's: its certificates are there while it builds, and in no layer."""
        trust = self.folder / "uv"
        trust.mkdir(exist_ok=True)
        (trust / "uv.toml").write_text("system-certs = true\n")
        arguments = [f"--build-arg={name}={value}" for name, value in image.arguments.items()]
        target = [f"--target={image.target}"] if image.target else []
        run(
            "nice", *self._buildah, "build", "--isolation=chroot", "--pull-never", *arguments, *target,
            f"--volume={CERTIFICATES}:{CERTIFICATES}:ro", f"--volume={trust}:/etc/uv:ro",
            f"--tag={reference}", f"--file={image.containerfile}", str(image.context),
        )  # fmt: skip

    def _forget_all_but(self, reference: str) -> None:
        """What the image was before, and what it was built as: the workers' is some gigabytes."""
        name, _, _ = reference.rpartition(":")
        old = {found for found in self.runtime.images() if found.startswith(f"{name}:")}
        for found in old - {reference, f"{name}:{TAG}", f"{name}:{NEXT_TAG}"}:
            self.runtime("images", "remove", found)
        if name != f"{REGISTRY}/python":
            run(*self._buildah, "rmi", reference)

    def _hand_over(self, reference: str) -> None:
        reading, writing = os.pipe()
        push = [*self._buildah, "push", "--quiet", reference, f"docker-archive:/dev/fd/{writing}:{reference}"]
        with subprocess.Popen(push, pass_fds=(writing,), stdout=subprocess.DEVNULL) as pushing:
            os.close(writing)
            with os.fdopen(reading) as archive:
                self.runtime.load(archive)
        assert pushing.returncode == 0, f"buildah could not hand over {reference}"

    @property
    def _buildah(self) -> list[str]:
        return [
            "buildah",
            f"--root={self.folder / 'store'}",
            f"--runroot={self.folder / 'run'}",
            "--storage-driver=overlay",
        ]
