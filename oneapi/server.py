"""Our WSGI server: gevent's pywsgi with the lean handler, and an orderly end. `SERVER_HANDLER=standard` takes gevent's own."""

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import gevent
from gevent import socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler

from oneapi import proxies
from oneapi.caps import Caps
from oneapi.config import Config
from oneapi.connections import Server
from oneapi.fields import Invalid
from oneapi.handler import Handler
from oneapi.lifecycle import at_exit, draining, run_exit_callbacks
from oneapi.relay.sockets import no_delay

__all__ = ["Handler", "at_exit", "draining", "handler_class", "limit_bodies", "limit_connections", "serve"]

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def handler_class() -> type[WSGIHandler]:
    return WSGIHandler if os.environ.get("SERVER_HANDLER") == "standard" else Handler


def limit_bodies(size: int) -> None:
    """The largest request body in bytes."""
    Handler.limits = replace(Handler.limits, body=size)


def limit_connections(config: Config) -> None:
    """Set what clients may hold open at once; the database and its log may open all their connections beside them."""
    Server.caps = Caps(
        config.max_connections_per_address, proxies.networks(config.trusted_proxies), 128 + 2 * config.sql_max_open_conns
    )


def raise_file_limit() -> None:
    """Each stream needs two descriptors, and the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def listen(host: str, port: int, backlog: int = 2048) -> Any:
    """A listening socket; "" and "::" mean every address of both families where the system allows it. Raises Invalid."""
    try:
        return _listen(host, port, backlog)
    except OSError as error:
        said = f"HOST, PORT: {host or '*'}:{port} cannot be listened on ({error.strerror}); choose others, or end what uses them."
        raise Invalid({"port": said}) from None


def _listen(host: str, port: int, backlog: int) -> Any:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    no_delay(sock)
    sock.bind((host, port))
    sock.listen(backlog)
    return sock


def serve(app: Wsgi, sock: Any, *, grace_seconds: float = 30, connections: int = 10_000, log: Any = None) -> None:
    """Serve until SIGTERM or SIGINT; then finish what was begun, within the grace period, and run the exit callbacks."""
    raise_file_limit()
    stop = Event()
    server = Server(sock, app, spawn=Pool(connections), log=log, handler_class=handler_class())
    pool = server.pool
    signals = [gevent.signal_handler(number, stop.set) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        server.start()
        stop.wait()
        server.close()
        server.drain()
        if not pool.join(timeout=grace_seconds):
            print(f"{len(pool)} requests did not end within {grace_seconds:g} seconds and were cut off", file=sys.stderr)
            pool.kill(timeout=1)
    finally:
        server.close()
        for handle in signals:
            handle.cancel()
        run_exit_callbacks()
