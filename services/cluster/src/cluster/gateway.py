"""One address in front of the services, as an ingress is on Kubernetes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.topics import App
from contracts.views import API
from embedded.processes import answers

from cluster.units import Unit

ROUTES: Mapping[App, Sequence[str]] = {
    App.STORAGE: (f"{API}/media", f"{API}/media/*"),
    App.NOTIFICATION: (f"{API}/webhooks", f"{API}/webhooks/*", f"{API}/admin/webhooks/*", f"{API}/live/*"),
}


UNSAID = """
	log {
		format filter {
			request>uri query {
				delete ticket
				delete api_key
			}
			request>headers delete
		}
	}
"""
"""A request that no replica answers is logged whole, with the key or the ticket in it."""


def gateway(caddy: Path, folder: Path, port: int, upstreams: Mapping[App, Sequence[str]]) -> Unit:
    """`upstreams` are the addresses of each service's replicas; submission answers whatever no route names."""
    caddyfile = folder / "Caddyfile"

    def prepare() -> None:
        caddyfile.write_text(_caddyfile(port, upstreams))

    return Unit(
        name="gateway",
        command=[str(caddy), "run", "--adapter", "caddyfile", "--config", str(caddyfile)],
        ready=lambda: answers(f"http://127.0.0.1:{port}/gateway/healthz"),
        address=f"http://127.0.0.1:{port}",
        environment={"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        prepare=prepare,
    )


def _caddyfile(port: int, upstreams: Mapping[App, Sequence[str]]) -> str:
    handles = [_handle("/gateway/healthz", "\t\trespond 204\n")]
    for app, paths in ROUTES.items():
        handles += [f"\t@{app.value} path {' '.join(paths)}\n", _handle(f"@{app.value}", _proxy(upstreams[app]))]
    handles.append(_handle("", _proxy(upstreams[App.SUBMISSION])))
    options = f"{{\n\tadmin off\n\tauto_https off\n\tpersist_config off{UNSAID}}}\n"
    return f"{options}http://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n{''.join(handles)}}}\n"


def _handle(which: str, what: str) -> str:
    return f"\thandle {which} {{\n{what}\t}}\n"


def _proxy(addresses: Sequence[str]) -> str:
    """Who cannot be connected to is passed over for a while; what was not sent yet is tried elsewhere."""
    options = "lb_policy round_robin\n\t\t\tlb_try_duration 3s\n\t\t\tfail_duration 1s\n\t\t\tflush_interval -1\n"
    return f"\t\treverse_proxy {' '.join(addresses)} {{\n\t\t\t{options}\t\t}}\n"
