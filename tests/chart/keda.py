"""KEDA itself: its operator and its metrics adapter, as processes of this machine with the rights of their own account.

All else of it is as its own kustomization has it, but for its webhook, which only judges what users write.
"""

import base64
import ipaddress
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import yaml
from cluster.supervisor import Supervisor
from cluster.units import Unit, listens
from cryptography import x509
from embedded.processes import free_ports

from tests.chart.control_plane import LOOPBACK, write_certificate
from tests.chart.kubectl import Kubectl, Object

NAMESPACE, ACCOUNT, ADAPTER = "keda", "keda-operator", "keda-metrics-apiserver"
API = "v1beta1.external.metrics.k8s.io"
NOT_HERE = ("Deployment", "ValidatingWebhookConfiguration")


@contextmanager
def keda(programs: Path, cluster: Kubectl) -> Iterator[None]:
    """`programs` is what install_keda.py prints."""
    kubectl = replace(cluster, namespace=NAMESPACE)
    with tempfile.TemporaryDirectory(prefix="movie-tasks-") as name:
        folder, ports = Path(name), free_ports(4)
        names = [x509.DNSName("localhost"), x509.DNSName(f"{ADAPTER}.{NAMESPACE}.svc")]
        write_certificate(folder / "tls", "keda", *names, x509.IPAddress(ipaddress.ip_address(LOOPBACK)))
        (folder / "ca.crt").write_bytes((folder / "tls.crt").read_bytes())
        objects = yaml.safe_load_all(kubectl("kustomize", str(programs / "config" / "default")))
        _apply(kubectl, [_here(found, ports[0], folder) for found in objects if found["kind"] not in NOT_HERE])
        _write_kubeconfig(folder / "kubeconfig", kubectl)
        with Supervisor(_units(programs, folder, ports), folder).running():
            try:
                kubectl("wait", "--for=condition=Available", f"apiservice/{API}", "--timeout=120s")
                yield
            finally:
                # Or whoever asks the API server what there is would be told of an API that does not answer.
                kubectl("delete", f"apiservice/{API}")


def _here(found: Object, port: int, folder: Path) -> Object:
    """The adapter is where the API server is, and not in a pod."""
    match found["kind"], found["metadata"]["name"]:
        case "Service", name if name == ADAPTER:
            return found | {"spec": {"type": "ExternalName", "externalName": "localhost"}}
        case "APIService", _:
            service = found["spec"]["service"] | {"port": port}
            authority = base64.b64encode((folder / "ca.crt").read_bytes()).decode()
            return found | {"spec": found["spec"] | {"service": service, "caBundle": authority}}
    return found


def _apply(kubectl: Kubectl, objects: Sequence[Object]) -> None:
    """Namespaces and definitions come first, as they do in a kustomization."""
    for namespace in (None, NAMESPACE, "kube-system"):
        of_it = [found for found in objects if found["metadata"].get("namespace") == namespace]
        replace(kubectl, namespace=namespace or NAMESPACE).apply(*of_it)


def _write_kubeconfig(path: Path, kubectl: Kubectl) -> None:
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": kubectl.as_service_account(ACCOUNT).token}
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))


def _units(programs: Path, folder: Path, ports: Sequence[int]) -> list[Unit]:
    adapter, metrics, operator, health = ports
    config = folder / "kubeconfig"
    namespaces = {"POD_NAMESPACE": NAMESPACE, "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE, "WATCH_NAMESPACE": ""}
    environment = {"KUBECONFIG": str(config), **namespaces}
    return [
        Unit(
            "keda-operator",
            [
                str(programs / "operator"), f"--cert-dir={folder}", "--enable-prometheus-metrics=false",
                f"--metrics-service-bind-address={LOOPBACK}:{operator}",
                f"--health-probe-bind-address={LOOPBACK}:{health}",
            ],
            ready=listens(operator),
            environment=environment,
        ),
        Unit(
            "keda-adapter",
            [
                str(programs / "adapter"), f"--cert-dir={folder}", f"--client-ca-file={folder / 'ca.crt'}",
                f"--tls-cert-file={folder / 'tls.crt'}", f"--tls-private-key-file={folder / 'tls.key'}",
                f"--bind-address={LOOPBACK}", f"--secure-port={adapter}", f"--port={metrics}",
                f"--metrics-service-address={LOOPBACK}:{operator}", f"--lister-kubeconfig={config}",
                f"--authentication-kubeconfig={config}", f"--authorization-kubeconfig={config}",
            ],
            ready=listens(adapter),
            environment=environment,
            stage=1,
        ),
    ]  # fmt: skip
