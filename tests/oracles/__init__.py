"""The vendors' own SDKs as oracles: what they send to a recorder is what our adapters must send."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def regular(case: Path) -> bool:
    """Return False for a wire case whose `irregular` says why the provider's SDK does not read its reply as we do."""
    return "irregular" not in json.loads((case / "ask.json").read_text("utf-8"))


@dataclass
class Asked:
    """One request as the recorder got it; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> list[tuple[str, str, bytes]]:
        """Name, file name and data of each part of a multipart form, in order."""
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        parts = BytesParser(_class=EmailMessage, policy=HTTP).parsebytes(head + self.body)
        found = []
        for part in parts.iter_parts():
            name = str(part.get_param("name", header="content-disposition"))
            found.append((name, part.get_filename() or "", part.get_payload(decode=True)))
        return found


@dataclass
class Recorder:
    """Remembers what it is asked and answers with `body`, whatever the path."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    body: bytes = b"{}"
    content_type: str = "application/json"
    status: int = 200

    def answers(self, body: bytes | dict[str, Any], content_type: str = "application/json", status: int = 200) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.content_type, self.status = content_type, status

    @property
    def last(self) -> Asked:
        return self.asked[-1]


@contextmanager
def recording() -> Iterator[Recorder]:
    """A recorder on a free loopback port."""
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            recorder.asked.append(Asked(self.command, self.path, headers, body))
            self.send_response(recorder.status)
            self.send_header("Content-Type", recorder.content_type)
            self.send_header("Content-Length", str(len(recorder.body)))
            self.end_headers()
            self.wfile.write(recorder.body)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    recorder.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
