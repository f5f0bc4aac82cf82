"""Real processes: gunicorn with several workers, or `python app.py`, on a free port of the loopback."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import gevent

ROOT = Path(__file__).parent.parent
START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Node:
    """One started server; `with Node(environment, workers=4) as node:` ends it whatever happens. No workers: app.py."""

    def __init__(self, environment: Mapping[str, str], *, workers: int = 1, folder: Path | None = None):
        self.command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"] if workers else [
            sys.executable, "app.py",
        ]  # fmt: skip
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "LC_ALL")}
        self.environment = (
            kept | dict(environment) | {"PORT": str(self.port), "HOST": "127.0.0.1", "ONEAPI_WORKERS": str(workers)}
        )
        self.output = Path(folder or environment["INSTANCE_PATH"]) / f"node-{self.port}.log"
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Node":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the node did not start:\n{self.output.read_text()[-3000:]}")
            gevent.sleep(0.1)

    def ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/api/status")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def kill(self) -> None:
        """End master and workers at once, as when the machine stops; they get no chance to tidy up."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        self.process = None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it in an orderly way; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process = None
        return code
