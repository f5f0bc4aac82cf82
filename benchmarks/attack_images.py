"""Scenario `images` of the attacks: small requests that make the gateway download images for a provider that wants bytes.

A loopback server is both the provider and, as the gateway's proxy for images, the server of every address. Printed are the
downloads, the peak of the process's memory above what it had before, and the statuses. `--checkout` measures another commit.
"""

import argparse
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.relay import KEY, REPOSITORY, free_port, running

MODEL, MB = "llava", 1 << 20
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
ANSWER = json.dumps({
    "model": MODEL, "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop",
    "prompt_eval_count": 1, "eval_count": 1,
}).encode()  # fmt: skip


class Outside(ThreadingHTTPServer):
    """The provider (POST) and the server of images (GET), which counts what it is asked for."""

    daemon_threads, request_queue_size = True, 256

    def __init__(self, size: int):
        super().__init__(("127.0.0.1", 0), Answers)
        self.image, self.downloads = PNG + bytes(size - len(PNG)), 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A gateway that ends a download early is what this is about."""


class Answers(BaseHTTPRequestHandler):
    server: Outside

    def do_GET(self) -> None:
        self.server.downloads += 1
        self._send("image/png", self.server.image)

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        while left > 0:
            left -= len(self.rfile.read(min(left, MB)))
        time.sleep(0.5)  # a model that thinks: the gateway keeps what it has
        self._send("application/json", ANSWER)

    def _send(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def gateway(outside: Outside, checkout: Path) -> Iterator[tuple[int, int]]:
    """Port and process id of a gateway with one channel to the server."""
    address = f"http://127.0.0.1:{outside.server_address[1]}"
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        quiet = {"INSTANCE_PATH": folder, "LOG_DIR": "", "PORT": str(port), "HOST": "127.0.0.1", "INITIAL_ROOT_TOKEN": KEY,
                 "USER_CONTENT_REQUEST_PROXY": address}  # fmt: skip

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "app.py"], cwd=checkout, env=os.environ | quiet, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

        with running(start(), port):
            ask(port, "GET", "/healthz")
        with sqlite3.connect(f"{folder}/one-api.db") as database:
            database.execute(
                "INSERT INTO channels (type, key, status, name, base_url, models, `group`, used_quota, priority, weight)"
                " VALUES (30, 'ollama', 1, 'mock', ?, ?, 'default', 0, 0, 0)",
                (address, MODEL),
            )
            database.execute("REPLACE INTO options (key, value) VALUES ('ModelRatio', ?)", (json.dumps({MODEL: 1}),))
        with running(start(), port) as process:
            ask(port, "POST", "/v1/chat/completions", images(1))
            yield port, process.pid


def ask(port: int, method: str, path: str, body: Any = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request(method, path, json.dumps(body), {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def images(count: int) -> dict[str, Any]:
    """A request that names so many images."""
    parts = [{"type": "image_url", "image_url": {"url": f"http://images.invalid/{n}.png"}} for n in range(count)]
    return {"model": MODEL, "messages": [{"role": "user", "content": parts}]}


def resident(pid: int, peak: bool) -> float:
    """Memory of a process in MB, or its peak since the peak was last reset."""
    name = "VmHWM" if peak else "VmRSS"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def attack(port: int, pid: int, outside: Outside, count: int, parallel: int) -> str:
    """Send requests at the same time and say what they cost."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets the peak
    before, outside.downloads, began = resident(pid, False), 0, time.monotonic()
    with ThreadPoolExecutor(parallel) as pool:
        statuses = Counter(pool.map(lambda _: ask(port, "POST", "/v1/chat/completions", images(count)), range(parallel)))
    seconds, grown = time.monotonic() - began, resident(pid, True) - before
    size = len(outside.image) / MB
    return (
        f"{parallel} × {count} images of {size:g} MB: {outside.downloads} downloads, peak +{grown:.0f} MB, "
        f"{seconds:.1f} s, statuses {dict(statuses)}"
    )


def run(checkout: Path = REPOSITORY) -> None:
    """One request of 60 images; the most that one may name; and many of those at once."""
    for size, rounds in ((8 * MB, ((60, 1),)), (5 * MB // 2, ((20, 1), (20, 8)))):
        outside = Outside(size)
        with gateway(outside, checkout) as (port, pid):
            for count, parallel in rounds:
                print(attack(port, pid, outside, count, parallel), flush=True)
        outside.shutdown()
        outside.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", type=Path, default=REPOSITORY)
    run(parser.parse_args().checkout)


if __name__ == "__main__":
    main()
