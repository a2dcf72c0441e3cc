"""A real Kubernetes control plane: etcd, API server, controllers and scheduler. On loopback kwok plays the nodes.

A pod on such a node is Running and Ready at once, whatever its image and probes say, and a Job's is over. All that
decides where pods go, whether they may be made, and which of them are removed is the real thing.
"""

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cluster.supervisor import Supervisor
from cluster.units import Unit, listens
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from embedded.processes import free_ports

from tests.chart.kubectl import Kubectl

CONTROLLERS, SCHEDULER, KWOK, ADMIN = "system:kube-controller-manager", "system:kube-scheduler", "kwok", "admin"
REAL_NODE = "real-0"
KUBELET = f"system:node:{REAL_NODE}"
LOOPBACK = "127.0.0.1"
API_SERVER = "api-server-client"
"""The certificate by which kubelets, and APIs that others serve, know the API server."""
GROUPS = {CONTROLLERS: "", SCHEDULER: "", KWOK: "system:masters", ADMIN: "system:masters", KUBELET: "system:nodes"}
GPUS_PER_NODE, SLICES_PER_NODE = 2, 4
SLICE = "nvidia.com/mig-1g.10gb"
GPU_NODES, CPU_NODES = ("gpu-0", "gpu-1"), ("cpu-0", "cpu-1")


@dataclass(frozen=True)
class ControlPlane:
    folder: Path
    program: Path
    kubectl: Kubectl
    """An administrator's."""

    def kubeconfig(self, user: str) -> Path:
        return self.folder / f"{user}.kubeconfig"

    @property
    def kubelet_client(self) -> Path:
        """The certificate by which a kubelet knows the API server; it is its own authority."""
        return self.folder / f"{API_SERVER}.crt"


@contextmanager
def control_plane(programs: Path) -> Iterator[Kubectl]:
    """With played nodes. `programs` is what install_kubernetes.py prints. Yields an administrator's kubectl."""
    with without_nodes(programs) as found:
        _write_stages(programs / "stages", found.folder / "stages.yaml")
        with Supervisor([_kwok(found)], found.folder).running():
            found.kubectl("apply", "--server-side", "--filename", str(programs / "definitions"))
            found.kubectl.apply(*nodes())
            found.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=60s")
            found.kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=60s")
            yield found.kubectl


@contextmanager
def without_nodes(programs: Path, address: str = LOOPBACK) -> Iterator[ControlPlane]:
    """`address` is where nodes and pods reach the API server."""
    with tempfile.TemporaryDirectory(prefix="movie-tasks-") as name:
        folder, ports = Path(name), free_ports(3)
        _write_keys(folder)
        write_certificate(folder / API_SERVER, API_SERVER)
        for user in GROUPS:
            _write_kubeconfig(folder, user, f"https://{address}:{ports[2]}")
        program = programs / "kubernetes"
        kubectl = Kubectl(program, folder / f"{ADMIN}.kubeconfig")
        with Supervisor(_units(program, folder, ports, kubectl, address), folder).running():
            kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
            yield ControlPlane(folder, program, kubectl)


def _units(program: Path, folder: Path, ports: Sequence[int], kubectl: Kubectl, address: str) -> list[Unit]:
    etcd, peer, api = ports
    client = folder / API_SERVER
    etcd_url, peer_url = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
    return [
        Unit(
            "etcd",
            [
                str(program), "etcd", "--name=only", f"--data-dir={folder / 'etcd'}", "--unsafe-no-fsync",
                f"--listen-client-urls={etcd_url}", f"--advertise-client-urls={etcd_url}",
                f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}",
                f"--initial-cluster=only={peer_url}",
            ],
            ready=listens(etcd),
        ),
        Unit(
            "kube-apiserver",
            [
                str(program), "kube-apiserver", f"--etcd-servers={etcd_url}", f"--secure-port={api}",
                f"--bind-address={address}", f"--advertise-address={address}",
                # What is on loopback no pod may be sent to.
                f"--endpoint-reconciler-type={'none' if address == LOOPBACK else 'lease'}",
                f"--cert-dir={folder}", "--service-cluster-ip-range=10.96.0.0/16",
                # No Endpoints may be on loopback, but a Service may have a name of it.
                f"--enable-aggregator-routing={str(address != LOOPBACK).lower()}",
                f"--kubelet-client-certificate={client}.crt", f"--kubelet-client-key={client}.key",
                "--kubelet-preferred-address-types=InternalIP",
                f"--proxy-client-cert-file={client}.crt", f"--proxy-client-key-file={client}.key",
                f"--requestheader-client-ca-file={client}.crt", f"--requestheader-allowed-names={API_SERVER}",
                "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                "--authorization-mode=Node,RBAC", f"--token-auth-file={folder / 'tokens.csv'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={folder / 'accounts.pub'}",
                f"--service-account-signing-key-file={folder / 'accounts.key'}",
            ],
            ready=kubectl.answers,
            stage=1,
        ),
        Unit(
            "kube-controller-manager",
            [
                str(program), "kube-controller-manager", f"--kubeconfig={folder / CONTROLLERS}.kubeconfig",
                "--secure-port=0", "--leader-elect=false", "--use-service-account-credentials",
                f"--service-account-private-key-file={folder / 'accounts.key'}",
                f"--root-ca-file={folder / 'apiserver.crt'}",
                # Rather than every fifteen seconds.
                "--horizontal-pod-autoscaler-sync-period=1s",
            ],
            ready=lambda: True,
            stage=2,
        ),
        Unit(
            "kube-scheduler",
            [
                str(program), "kube-scheduler", f"--kubeconfig={folder / SCHEDULER}.kubeconfig",
                "--secure-port=0", "--leader-elect=false",
            ],
            ready=lambda: True,
            stage=2,
        ),
    ]  # fmt: skip


def _kwok(found: ControlPlane) -> Unit:
    return Unit(
        "kwok",
        [
            str(found.program), "kwok", f"--kubeconfig={found.kubeconfig(KWOK)}", "--cidr=10.244.0.0/16",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake", "--node-ip=127.0.0.1",
            "--node-lease-duration-seconds=40", f"--config={found.folder / 'stages.yaml'}",
        ],
        ready=lambda: True,
    )  # fmt: skip


def _write_keys(folder: Path) -> None:
    """What the API server believes: a token for each program, and what service accounts' tokens are signed with."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "accounts.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "accounts.pub").write_bytes(public)
    tokens = folder / "tokens.csv"
    tokens.touch(mode=0o600)
    lines = [f'{secrets.token_hex(16)},{user},{user},"{group}"\n' for user, group in GROUPS.items()]
    tokens.write_text("".join(lines))


def write_certificate(path: Path, name: str, *alternatives: x509.GeneralName) -> None:
    """`path` with .crt and .key: a client's, and a server's of these names. It is its own authority."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    path.with_suffix(".crt").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    written = path.with_suffix(".key")
    written.touch(mode=0o600)
    written.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _write_kubeconfig(folder: Path, user: str, server: str) -> None:
    lines = (line.split(",") for line in (folder / "tokens.csv").read_text().splitlines())
    tokens = {name: token for token, name, *_ in lines}
    # The API server writes its own certificate there when it starts.
    cluster = {"server": server, "certificate-authority": str(folder / "apiserver.crt")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": tokens[user]}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path = folder / f"{user}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))


def _write_stages(stages: Path, target: Path) -> None:
    """How long what kwok plays takes: none at all, as its own fast stages have it."""
    target.write_text("\n---\n".join(path.read_text() for path in sorted(stages.iterdir())))


def nodes() -> list[dict[str, Any]]:
    """Two nodes with two GPUs each and some slices of more, tainted as GPU pools are, and two without; in two zones."""
    return [*(_node(name, gpus=True) for name in GPU_NODES), *(_node(name, gpus=False) for name in CPU_NODES)]


def _node(name: str, *, gpus: bool) -> dict[str, Any]:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": f"zone-{name[-1]}",
    }
    resources = {"cpu": "32", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    taints = []
    if gpus:
        labels["nvidia.com/gpu.present"] = "true"
        resources |= {"nvidia.com/gpu": str(GPUS_PER_NODE), SLICE: str(SLICES_PER_NODE)}
        taints = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": taints},
        "status": {"capacity": resources, "allocatable": resources},
    }
