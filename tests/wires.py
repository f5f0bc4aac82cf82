"""Loopback servers that play a script byte by byte, and our own WSGI server on a free port."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from oneapi.connections import Server
from oneapi.handler import Handler
from oneapi.server import listen

Script = Callable[["Conversation"], None]


class Conversation:
    """One accepted connection, seen from the server."""

    def __init__(self, sock: Any):
        self.sock = sock

    def request(self) -> bytes:
        """One whole request (head and body); b"" when the client is gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(65536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        low = head.lower()
        if b"content-length:" in low:
            size = int(low.split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < size:
                body += self.sock.recv(65536)
        return head + b"\r\n\r\n" + body

    def send(self, *pieces: bytes, pause: float = 0.003) -> None:
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(pause)
            self.sock.sendall(piece)

    def gone(self, seconds: float = 5) -> bool:
        """Whether the client ends the connection within that time."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(65536) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


class Wire:
    """A server on a free port. Connection number n plays script n, the last one for all others."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None):
        self.scripts, self.tls = scripts, tls
        self.requests: list[bytes] = []
        self.connections = 0
        self.errors: list[BaseException] = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.open: list[Any] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            script = self.scripts[min(self.connections, len(self.scripts) - 1)]
            self.connections += 1
            threading.Thread(target=self._talk, args=(sock, script), daemon=True).start()

    def _talk(self, sock: Any, script: Script) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError, ValueError):  # gevent's name for a TLS socket that was closed
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self.open.append(sock)
            script(Conversation(sock))
        with suppress(OSError):
            sock.close()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.open:
            with suppress(OSError):
                sock.close()

    # ---- the usual scripts, made for this server so that it can remember what it was asked

    def answering(self, *pieces: bytes, close: bool = False, pause: float = 0.003) -> Script:
        """Each request is answered with these pieces."""

        def script(talk: Conversation) -> None:
            while request := talk.request():
                self.requests.append(request)
                talk.send(*pieces, pause=pause)
                if close:
                    return

        return script


def wire(*pieces: bytes, close: bool = False, tls: ssl.SSLContext | None = None, pause: float = 0.003) -> Wire:
    """A server that answers every request with these pieces."""
    made = Wire(lambda talk: None, tls=tls)
    made.scripts = (made.answering(*pieces, close=close, pause=pause),)
    return made


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Alone(Handler):
    """Our handler on a server that knows nothing of streams without greenlets."""


@contextmanager
def serving(app: Any, handler: type = Handler, **limits: Any) -> Iterator[int]:
    """Our server on a free port, in a thread of its own (a greenlet where threads are patched)."""
    kind = type("TestHandler", (handler,), {"limits": replace(Handler.limits, **limits)})
    ready, stop, port = threading.Event(), threading.Event(), 0
    outside = gevent.get_hub()

    def run() -> None:
        nonlocal port
        options = {"log": None, "error_log": None, "handler_class": kind}
        alone = issubclass(kind, Alone)
        server = WSGIServer(listen("127.0.0.1", 0), app, **options) if alone else Server(
            listen("127.0.0.1", 0), app, spawn=Pool(1000), **options
        )  # fmt: skip
        hub = gevent.get_hub()
        stream, hub.exception_stream = hub.exception_stream, None  # tests look at what the client gets
        server.start()
        port = server.server_port
        ready.set()
        while not stop.is_set():
            gevent.sleep(0.02)
        server.stop()
        hub.exception_stream = stream
        if hub is not outside:
            hub.destroy()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(20)
    try:
        yield port
    finally:
        stop.set()
        thread.join(5)


def exchange(port: int, *pieces: bytes, pause: float = 0.003, half_close: bool = False, seconds: float = 5) -> bytes:
    """Send the pieces and return everything the server says until it closes or is silent for a moment."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            for number, piece in enumerate(pieces):
                if number:
                    time.sleep(pause)
                sock.sendall(piece)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        data = b""
        with suppress(OSError):
            while more := sock.recv(65536):
                data += more
        return data


def certificate(folder: Path, host: str = "localhost") -> Path:
    """A PEM file with a key and a certificate that signs itself, for a name and 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    today = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + built.public_bytes(serialization.Encoding.PEM))
    return path


def tls_server(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
