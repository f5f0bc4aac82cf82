"""A served installation with enough in it to look at: python app.py as a process of its own, filled through its own API."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
ACCESS, KEY = "0123456789abcdef0123456789abcdef", "sk-" + "browsertest" + "0" * 37
PASSWORD = "browser-test-1"


class Vendor(BaseHTTPRequestHandler):
    """Answers every chat with one sentence, streamed when asked; a key `bad` is refused, a key `slow` waits for its turn."""

    turns = Semaphore(0)  # a release lets one request with the key `slow` go on

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
        if "slow" in self.headers.get("Authorization", ""):
            self.turns.acquire(timeout=60)
        if "bad" in self.headers.get("Authorization", ""):
            self._say(401, {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}})
            return
        usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "Hello from the vendor."}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._say(200, {"id": "x", "object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for word in ("Hello ", "from ", "the ", "vendor."):
            self._event({"choices": [{"index": 0, "delta": {"content": word}}]}, body)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, body)
        self._event({"choices": [], "usage": usage}, body)
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, chunk: dict[str, Any], body: dict[str, Any]) -> None:
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": body["model"]} | chunk
        self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        time.sleep(0.03)

    def _say(self, status: int, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words: Any) -> None:
        pass


@contextmanager
def vendor() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Site:
    def __init__(self, url: str, vendor: str, folder: str = ""):
        self.url, self.vendor, self.database = url, vendor, Path(folder) / "one-api.db"

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        head = {"Content-Type": "application/json", "Authorization": f"Bearer {ACCESS}", "X-Requested-With": "tests", **headers}
        asked = urllib.request.Request(self.url + path, data, head, method=method)
        with urllib.request.urlopen(asked, timeout=20) as answer:
            said = json.loads(answer.read() or "{}")
        if path.startswith("/api/") and not said.get("success", True):
            raise AssertionError(f"{method} {path}: {said}")
        return said

    def fill(self) -> None:
        """Channels good and bad, people, keys, codes and some requests."""
        names = [("OpenAI · main", "sk-good"), ("DeepSeek 官方", "sk-good"), ("Broken one", "sk-bad")]
        for number, (name, key) in enumerate(names):
            body = {
                "type": 1 if number != 1 else 36,
                "name": name,
                "key": key,
                "base_url": self.vendor,
                "models": "gpt-4o-mini,gpt-4o",
                "group": "default,vip",
                "priority": 10 - number,
                "weight": number,
                "tag": "prod",
            }
            if key.endswith("bad"):
                body["status"] = 2
            self.api("POST", "/api/channel/", body)
        for name in ("alice", "bob"):
            self.api("POST", "/api/user/", {"username": name, "password": PASSWORD, "display_name": name.title()})
        self.api("POST", "/api/topup", {"user_id": 2, "quota": 5_000_000, "remark": "welcome"})
        self.api("POST", "/api/redemption/", {"name": "launch", "quota": 500_000, "count": 5})
        self.api("POST", "/api/token/", {"name": "production", "remain_quota": 2_000_000, "expired_time": -1, "models": "gpt-4o"})
        self.api("PUT", "/api/option/", {"key": "Notice", "value": "**Welcome** to the test."})
        for number in range(6):
            chat = {"model": "gpt-4o-mini" if number % 2 else "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
            self.api("POST", "/v1/chat/completions", chat, Authorization=f"Bearer {KEY}")


@contextmanager
def served(*, filled: bool = True) -> Iterator[Site]:
    """A fresh installation on a free port; root's password is still the first one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, vendor() as at:
        environment = {
            **{k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")},
            "INSTANCE_PATH": folder,
            "LOG_DIR": "",
            "PORT": str(port),
            "HOST": "127.0.0.1",
            "GLOBAL_WEB_RATE_LIMIT": "0",
            "GLOBAL_API_RATE_LIMIT": "0",
            "CRITICAL_RATE_LIMIT": "0",
            "INITIAL_ROOT_ACCESS_TOKEN": ACCESS,
            "INITIAL_ROOT_TOKEN": KEY,
            "SQLITE_PATH": f"{folder}/one-api.db",
        }
        log = open(Path(folder) / "server.txt", "w")  # noqa: SIM115  (the process writes into it)
        process = subprocess.Popen([sys.executable, "app.py"], cwd=REPOSITORY, env=environment, stdout=log, stderr=log)
        try:
            site = Site(f"http://127.0.0.1:{port}", at, folder)
            _wait(site.url, process)
            if filled:
                site.fill()
            yield site
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            log.close()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/login", timeout=20).read()
            return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                raise RuntimeError("the server ended before it began") from None
            time.sleep(0.1)
    raise RuntimeError("the server does not answer")
