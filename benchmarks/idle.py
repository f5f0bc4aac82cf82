"""Idle connections of one visitor against app.py: python -m benchmarks.idle [--folder CHECKOUT] [--connections N].

The visitor (127.0.0.3) opens connections and sends nothing; another one (127.0.0.2) then asks /readyz and /api/status over new
connections. Prints how many connections are open, and how long the answers took. The limit of open files bounds N.
"""

import argparse
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.relay import REPOSITORY, free_port

VISITOR, OTHER = "127.0.0.3", "127.0.0.2"
PATIENCE = 5.0  # seconds in which an answer must come


def asked(port: int, path: str) -> float | None:
    """Milliseconds until the answer of a new connection has come; None without one."""
    began = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE, (OTHER, 0)) as sock:
            sock.settimeout(PATIENCE)
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            return (time.monotonic() - began) * 1000 if sock.recv(12) == b"HTTP/1.1 200" else None
    except OSError:
        return None


def opened(port: int, number: int) -> list[socket.socket]:
    """The visitor's connections, made 100 at a time."""
    found: list[socket.socket] = []
    while len(found) < number:
        for _ in range(100):
            sock = socket.socket()
            sock.bind((VISITOR, 0))
            sock.settimeout(PATIENCE)
            try:
                sock.connect(("127.0.0.1", port))
            except OSError:
                sock.close()
                return found
            found.append(sock)
        time.sleep(0.01)
    return found


def still_open(sockets: list[socket.socket]) -> int:
    """How many of them the server has not closed."""
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            selector.register(sock, selectors.EVENT_READ)
        return len(sockets) - len(selector.select(0))


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=REPOSITORY)
    parser.add_argument("--connections", type=int, default=min(10_100, hard - 100))
    flags = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"INSTANCE_PATH": folder, "LOG_DIR": "", "PORT": str(port), "HOST": "127.0.0.1", "GLOBAL_API_RATE_LIMIT": "0"}
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen([sys.executable, "app.py"], cwd=flags.folder, env=os.environ | quiet, **silent)
        try:
            while asked(port, "/readyz") is None:
                time.sleep(0.1)
            measure(port, flags.connections)
        finally:
            server.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()


def measure(port: int, number: int) -> None:
    began = time.monotonic()
    sockets = opened(port, number)
    print(f"{len(sockets):,} connections of one address opened in {time.monotonic() - began:.1f} s")
    for wait in (0, 1, 11):
        time.sleep(wait)
        for path in ("/readyz", "/api/status"):
            took = [asked(port, path) for _ in range(3)]
            text = ", ".join("no answer" if each is None else f"{each:.1f} ms" for each in took)
            print(f"  after {wait:2} s more: {path:12} {text}; {still_open(sockets):,} idle ones still open")
    for sock in sockets:
        sock.close()


if __name__ == "__main__":
    main()
