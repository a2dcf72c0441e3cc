"""The sender on real sockets, against receivers that mean harm."""

import asyncio
import gzip
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from contracts.errors import InvalidRequest, LimitReached
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from notification.adapters.names import LOOKED_UP_AT_ONCE
from notification.adapters.network import LOOKED_UP_TO_DELIVER, LOOKED_UP_TO_REGISTER, MOST_OF_HEAD, Network
from notification.adapters.sender import H11Sender

LOOPBACK = ["127.0.0.0/8", "::1/128"]
PORTS = [443]
PATIENCE = timedelta(seconds=60)  # for machines that are busy with other things
HASTE = timedelta(seconds=2)
HEADERS = {"webhook-id": "msg_1"}

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    made = Network(LOOPBACK, PORTS)
    yield made
    await made.aclose()


@pytest.fixture
def sender(network: Network) -> H11Sender:
    return H11Sender(network, PATIENCE, "p1")


@pytest.fixture
def hasty(network: Network) -> H11Sender:
    return H11Sender(network, HASTE, "p1")


@asynccontextmanager
async def receiving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server on this machine."""
    serving = set[asyncio.Task[None]]()

    async def each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        else:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(each(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)
        await asyncio.sleep(0.01)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    [length] = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    return head, await reader.readexactly(length)


def answering(*parts: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()

    return serve


def without_end(begin: bytes, part: bytes, pause: float | None = None) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(begin)
        while True:
            writer.write(part)
            await writer.drain()
            if pause is not None:
                await asyncio.sleep(pause)

    return serve


async def test_what_is_sent_is_what_was_signed(sender: H11Sender) -> None:
    requests: list[tuple[bytes, bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await read_request(reader))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with receiving(serve) as port:
        answer = await sender.send(f"http://localhost:{port}/hook?a=%20b", b'{"a": "\xc3\xbc"}', HEADERS)
    assert (answer.status, answer.detail) == (204, "No Content")
    assert timedelta() < answer.took < PATIENCE
    [(head, body)] = requests
    assert body == b'{"a": "\xc3\xbc"}'
    assert head.startswith(b"POST /hook?a=%20b HTTP/1.1\r\n")
    lines = head.split(b"\r\n")
    assert f"Host: localhost:{port}".encode() in lines
    assert b"webhook-id: msg_1" in lines
    assert not any(line.lower().startswith(b"accept-encoding") for line in lines)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed_and_said_so(sender: H11Sender, status: int) -> None:
    followed: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        followed.append(await reader.read(1))

    async with receiving(elsewhere) as other:
        redirect = f"HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n"
        async with receiving(answering(redirect.encode())) as port:
            answer = await sender.send(f"http://127.0.0.1:{port}/", b"{}", HEADERS)
    assert (answer.status, answer.accepted) == (status, False)
    assert answer.detail == "Moved: redirects are not followed; register the address that this one leads to"
    assert followed == []


async def test_no_proxy_of_the_environment_is_used(sender: H11Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    async with receiving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        assert (await sender.send(f"http://127.0.0.1:{port}/", b"{}", HEADERS)).status == 200


OK = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("serve", "status"),
    [
        pytest.param(without_end(OK, b"x" * 65536), 200, id="a body without end"),
        pytest.param(without_end(OK, b"x", 0.05), 200, id="a body that drips"),
        pytest.param(without_end(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"", 9), 200, id="a body that stops"),
        pytest.param(without_end(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", 0.05), None, id="a head that drips"),
        pytest.param(without_end(b"HTTP/1.1 200 OK\r\n", b"X-A: bbbbbbbb\r\n" * 100), None, id="a head without end"),
        pytest.param(without_end(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536), None, id="a header without end"),
        pytest.param(without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), None, id="only ever going to answer"),
        pytest.param(without_end(b"", b"", 9), None, id="no answer"),
        pytest.param(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 200, id="bad chunks"),
        pytest.param(answering(b"HTTP/1.1 999 \xff\xfe\x00\r\n\r\n"), None, id="an odd reason"),
        pytest.param(answering(b"HTTP/1.1 204 " + b"x" * 9000 + b"\r\n\r\n"), 204, id="a long reason"),
        pytest.param(answering(b"SSH-2.0-OpenSSH\r\n"), None, id="not HTTP"),
        pytest.param(answering(b""), None, id="nothing at all"),
    ],
)
async def test_whatever_comes_back_ends_in_time_and_says_what_it_was(
    hasty: H11Sender, serve: Serve, status: int | None
) -> None:
    async with receiving(serve) as port, asyncio.timeout(60):
        answer = await hasty.send(f"http://127.0.0.1:{port}/", b"{}", HEADERS)
    assert answer.status == status
    assert answer.detail
    assert len(answer.detail) < 300
    assert answer.detail.isprintable()


async def test_an_answer_that_floods_us_leaves_others_their_time(sender: H11Sender) -> None:
    """However much of nothing it says at once, only so much of it is looked at."""
    flood = b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(flood)
        await writer.drain()
        await asyncio.sleep(9)

    async with receiving(serve) as port:
        answers = await asyncio.gather(
            *(sender.send(f"http://127.0.0.1:{port}/{number}", b"{}", HEADERS) for number in range(4))
        )
    assert {answer.detail for answer in answers} == {"the answer's head has no end"}


async def test_a_compressed_answer_is_never_unpacked(sender: H11Sender) -> None:
    bomb = gzip.compress(b"\0" * 30_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    assert len(bomb) < MOST_OF_HEAD
    async with receiving(answering(head + bomb)) as port:
        assert (await sender.send(f"http://127.0.0.1:{port}/", b"{}", HEADERS)).status == 200


async def test_a_receiver_that_never_finishes_its_handshake_is_given_up(hasty: H11Sender) -> None:
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        closed.set()

    async with receiving(serve) as port:
        answer = await hasty.send(f"https://127.0.0.1:{port}/", b"{}", HEADERS)
        assert (answer.status, answer.detail) == (None, "no answer within 2 s")
        async with asyncio.timeout(60):
            await closed.wait()


async def test_a_port_without_tls_is_said_to_be_one(sender: H11Sender) -> None:
    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with receiving(serve) as port:
        answer = await sender.send(f"https://127.0.0.1:{port}/", b"{}", HEADERS)
    assert answer.status is None
    assert "SSLError" in answer.detail


class Names:
    """Stands for the resolver of the machine: what leads where can change between two looks."""

    def __init__(self, **leads: str) -> None:
        self.leads = leads
        self.asked: list[str] = []
        self._real = socket.getaddrinfo

    def __call__(self, host: str, *rest: Any, **more: Any) -> Any:
        self.asked.append(host)
        return self._real(self.leads.get(host.replace(".", "_"), host), *rest, **more)


async def test_a_name_that_leads_elsewhere_by_now_is_refused_when_it_is_used(
    sender: H11Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(hooks_example="127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    await sender.check("http://hooks.example:9/")
    names.leads["hooks_example"] = "10.0.0.1"
    answer = await sender.send("http://hooks.example:9/", b"{}", HEADERS)
    assert (answer.status, answer.detail) == (None, "hooks.example leads to 10.0.0.1, which is not a public address")


async def test_the_name_is_looked_up_once_for_a_connection(sender: H11Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was judged is what is connected to: nobody asks again in between."""
    names = Names(hooks_example="127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", names)
    async with receiving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        assert (await sender.send(f"http://hooks.example:{port}/", b"{}", HEADERS)).status == 200
    assert names.asked.count("hooks.example") == 1


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "127.1", "127.0.0.1.", "localhost.", "%31%32%37.0.0.1",
     "①②⑦.⓪.⓪.①", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[fe80::1%25lo]", "[::]", "0.0.0.1",
     "169.254.169.254", "metadata.google.internal", "127.0.0.1:99999", "127.0.0.1:0x50", "\x00", "user:word@127.0.0.1"],
)  # fmt: skip
async def test_hosts_that_hide_where_they_lead_are_refused(sender: H11Sender, host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(InvalidRequest):
            await sender.check(f"{scheme}://{host}/")
        assert (await sender.send(f"{scheme}://{host}/", b"{}", HEADERS)).status is None


async def test_slow_name_servers_of_one_hold_no_other_up(
    network: Network, sender: H11Sender, slow_names: threading.Event
) -> None:
    other = H11Sender(network, PATIENCE, "p2")
    async with receiving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        slow = [
            asyncio.create_task(sender.send(f"http://{number}.slow.example:{port}/", b"{}", HEADERS))
            for number in range(LOOKED_UP_AT_ONCE)
        ]
        await asyncio.sleep(0)
        assert (await other.send(f"http://quick.example:{port}/", b"{}", HEADERS)).status == 200
        assert not any(one.done() for one in slow)
        slow_names.set()
        assert {(await one).status for one in slow} == {200}


async def test_whoever_waits_no_more_keeps_his_place_until_the_name_server_answers(
    network: Network, hasty: H11Sender, slow_names: threading.Event
) -> None:
    async with receiving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        slow = (hasty.send(f"http://{n}.slow.example:{port}/", b"{}", HEADERS) for n in range(LOOKED_UP_TO_DELIVER))
        assert {answer.status for answer in await asyncio.gather(*slow)} == {None}
        sender = H11Sender(network, PATIENCE, "p1")
        waiting = asyncio.create_task(sender.send(f"http://quick.example:{port}/", b"{}", HEADERS))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        slow_names.set()
        assert (await waiting).status == 200


async def test_those_who_register_hold_up_no_delivery(
    network: Network, sender: H11Sender, slow_names: threading.Event
) -> None:
    projects = [
        H11Sender(network, PATIENCE, f"bad-{number}") for number in range(LOOKED_UP_AT_ONCE // LOOKED_UP_TO_REGISTER)
    ]
    slow = [
        asyncio.create_task(bad.check(f"http://{number}.slow.example:9/"))
        for bad in projects
        for number in range(LOOKED_UP_TO_REGISTER)
    ]
    await asyncio.sleep(0)
    for bad in projects:
        with pytest.raises(LimitReached):
            await bad.check("http://quick.example:9/")
    async with receiving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        assert (await sender.send(f"http://quick.example:{port}/", b"{}", HEADERS)).status == 200
    slow_names.set()
    await asyncio.gather(*slow)


@pytest.mark.usefixtures("slow_names")
async def test_a_name_server_that_does_not_answer_is_given_up(hasty: H11Sender) -> None:
    answer = await hasty.send("http://slow.example:9/", b"{}", HEADERS)
    assert (answer.status, answer.detail) == (None, "no answer within 2 s")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A key and a certificate that is its own authority, for each of two names."""
    folder, made = tmp_path_factory.mktemp("certificates"), {}
    for name in ("one.example", "two.example"):
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        made[name] = folder / f"{name}.pem"
        made[name].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
    return made


async def test_two_names_at_one_address_share_no_connection(
    certificates: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is meant for one must not go over a connection on which the other has shown who it is."""
    monkeypatch.setattr(socket, "getaddrinfo", Names(one_example="127.0.0.1", two_example="127.0.0.1"))
    contexts = {name: ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) for name in certificates}
    for name, context in contexts.items():
        context.load_cert_chain(certificates[name])
    front, heard = contexts["one.example"], []

    def by_name(connection: Any, name: str | None, _context: object) -> None:
        connection.context = contexts[name or "one.example"]

    front.sni_callback = by_name

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            [host] = [line for line in head.split(b"\r\n") if line.startswith(b"Host")]
            heard.append((writer.get_extra_info("peername"), host.split(b":")[1].strip().decode()))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    trusting = ssl.create_default_context()
    for path in certificates.values():
        trusting.load_verify_locations(path)
    network = Network(LOOPBACK, PORTS, trusting)
    sender = H11Sender(network, PATIENCE, "p1")
    async with receiving(serve, front) as port:
        for name in ("one.example", "two.example", "one.example"):
            answer = await sender.send(f"https://{name}:{port}/", b"{}", HEADERS)
            assert answer.status == 200, answer.detail
        await network.aclose()
    by_connection = [{host for other, host in heard if other == peer} for peer in {peer for peer, _ in heard}]
    assert {"one.example", "two.example"} not in by_connection


async def test_a_certificate_of_another_name_is_refused(
    certificates: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names(two_example="127.0.0.1"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates["one.example"])
    trusting = ssl.create_default_context()
    trusting.load_verify_locations(certificates["one.example"])
    network = Network(LOOPBACK, PORTS, trusting)
    sender = H11Sender(network, PATIENCE, "p1")
    async with receiving(answering(OK), context) as port:
        answer = await sender.send(f"https://two.example:{port}/", b"{}", HEADERS)
    await network.aclose()
    assert answer.status is None
    assert "certificate verify failed" in answer.detail
