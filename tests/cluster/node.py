"""A real node on this machine: containerd, kubelet, kube-proxy and CoreDNS. Pods have containers and addresses.

All of it listens on a bridge that exists as long as the node does, and that nobody outside the machine is on.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from cluster.supervisor import Supervisor
from cluster.units import Unit
from embedded.processes import free_ports

from tests.chart.control_plane import ADMIN, KUBELET, REAL_NODE, ControlPlane
from tests.chart.kubectl import Object
from tests.cluster.runtime import Runtime

BRIDGE, ADDRESS, NETWORK = "movie-tasks0", "10.89.7.1", "10.89.7.0/24"
DNS_SERVICE = "10.96.0.10"


@contextmanager
def a_node(control_plane: ControlPlane, runtime: Runtime, programs: Path) -> Iterator[None]:
    """`programs` is what install_kubernetes.py prints. At the end its containers are killed."""
    folder, ports = runtime.folder, free_ports(5)
    _write_network(runtime.networks)
    for name, content in _configurations(control_plane, runtime, ports).items():
        (folder / name).write_text(content)
    supervisor = Supervisor(_units(control_plane, folder, programs), folder)
    try:
        with supervisor.running():
            replace(control_plane.kubectl, namespace="kube-system").apply(*_name_service(ports[0]))
            control_plane.kubectl("wait", "--for=create", f"node/{REAL_NODE}", "--timeout=60s")
            control_plane.kubectl("wait", "--for=condition=Ready", f"node/{REAL_NODE}", "--timeout=60s")
            yield
    finally:
        runtime.remove_containers()


def _units(control_plane: ControlPlane, folder: Path, programs: Path) -> list[Unit]:
    node = str(programs / "node")
    return [
        Unit(
            "kubelet",
            [
                node, "kubelet", f"--config={folder / 'kubelet.yaml'}", f"--root-dir={folder / 'kubelet'}",
                f"--kubeconfig={control_plane.kubeconfig(KUBELET)}", f"--cert-dir={folder / 'kubelet-keys'}",
                f"--hostname-override={REAL_NODE}", f"--node-ip={ADDRESS}",
            ],
            ready=lambda: True,
        ),
        Unit("kube-proxy", [node, "kube-proxy", f"--config={folder / 'kube-proxy.yaml'}"], ready=lambda: True),
        Unit("dns", [str(programs / "dns"), "-conf", str(folder / "Corefile")], ready=lambda: True),
    ]  # fmt: skip


def _configurations(control_plane: ControlPlane, runtime: Runtime, ports: list[int]) -> dict[str, str]:
    dns, kubelet, kubelet_health, proxy_health, proxy_metrics = ports
    kubelet_config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "port": kubelet,
        "healthzPort": kubelet_health,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(control_plane.kubelet_client)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{runtime.socket}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "podLogsDir": str(runtime.folder / "pods"),
        "volumePluginDir": str(runtime.folder / "volume-plugins"),
        # Secrets that change reach pods at once: Dapr fills that of its certificates after pods have mounted it.
        "syncFrequency": "3s",
        # No image is fetched again, so none is removed, and no pod for the sake of a full disk.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }
    proxy_config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "hostnameOverride": REAL_NODE,
        "clientConnection": {"kubeconfig": str(control_plane.kubeconfig(ADMIN))},
        "clusterCIDR": NETWORK,
        # Pods share a bridge, so that an answer would go past who asked for the service.
        "iptables": {"masqueradeAll": True},
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": f"127.0.0.1:{proxy_health}",
        "metricsBindAddress": f"127.0.0.1:{proxy_metrics}",
    }
    names = f"""\
.:{dns} {{
    bind {ADDRESS}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {control_plane.kubeconfig(ADMIN)}
    }}
    forward . /etc/resolv.conf
    cache 2
}}
"""
    return {
        "kubelet.yaml": yaml.safe_dump(kubelet_config),
        "kube-proxy.yaml": yaml.safe_dump(proxy_config),
        "Corefile": names,
    }


def _write_network(folder: Path) -> None:
    addresses = {"type": "host-local", "dataDir": str(folder / "addresses")}
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": addresses | {"ranges": [[{"subnet": NETWORK, "gateway": ADDRESS}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    folder.mkdir(exist_ok=True)
    network = {"cniVersion": "0.4.0", "name": BRIDGE, "plugins": [bridge]}
    (folder / "network.conflist").write_text(json.dumps(network))


def _name_service(port: int) -> list[Object]:
    """CoreDNS runs beside the cluster, so its service has an address given by hand."""
    about = {"name": "kube-dns", "namespace": "kube-system"}
    ports = [{"name": f"dns-{protocol.lower()}", "protocol": protocol} for protocol in ("UDP", "TCP")]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": about,
            "spec": {"clusterIP": DNS_SERVICE, "ports": [one | {"port": 53} for one in ports]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": about | {"labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS]}],
            "ports": [one | {"port": port} for one in ports],
        },
    ]
