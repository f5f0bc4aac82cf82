"""A real mail server on a free port, in a process of its own, that keeps what it was given."""

import email
import json
import socket
import ssl
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult


@dataclass
class Mail:
    sender: str
    to: list[str]
    subject: str
    text: str
    headers: dict[str, str]
    secure: bool
    account: str


class Mailbox:
    """with Mailbox() as box: ... box.mails. `tls` is a file of certificate and key: starttls, or TLS from the start.

    `without` names AUTH mechanisms that are not offered, `utf8` offers SMTPUTF8, `refuses` is the answer to every receiver.
    """

    def __init__(
        self, tls: str = "", *, implicit: bool = False, passwords: dict[str, str] | None = None, without: tuple[str, ...] = (),
        utf8: bool = False, refuses: str = "",
    ):  # fmt: skip
        self._file = Path(tempfile.mkstemp(suffix=".mails")[1])
        self._options: dict[str, Any] = {"tls": tls, "implicit": implicit, "passwords": passwords, "file": str(self._file)}
        self._options |= {"without": without, "utf8": utf8, "refuses": refuses}

    def __enter__(self) -> "Mailbox":
        command = [sys.executable, __file__, json.dumps(self._options)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        self.port = int(self._process.stdout.readline())  # type: ignore[union-attr]
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.communicate()  # the end of its input ends it
        self._file.unlink()

    @property
    def mails(self) -> list[Mail]:
        return [Mail(**json.loads(line)) for line in self._file.read_text().splitlines()]


class Server:
    """What the process does."""

    def __init__(
        self, tls: str, implicit: bool, passwords: dict[str, str] | None, file: str, without: list[str], utf8: bool, refuses: str
    ):  # fmt: skip
        self.passwords, self.file, self.refuses = passwords or {}, file, refuses
        options: dict[str, Any] = {"hostname": "127.0.0.1", "port": free_port(), "enable_SMTPUTF8": utf8}
        options["auth_exclude_mechanism"] = without
        if passwords is not None:
            options |= {"authenticator": self.authenticate, "auth_required": True, "auth_require_tls": bool(tls) and not implicit}
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(tls)
            options |= {"ssl_context": context} if implicit else {"tls_context": context, "require_starttls": True}
        self.controller = Controller(self, **options)

    def authenticate(self, server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        session.account = data.login.decode()
        success = self.passwords.get(session.account) == data.password.decode()
        return AuthResult(success=success, handled=success)  # what is not handled is answered with 535

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:  # fmt: skip
        if self.refuses:
            return self.refuses
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802  (aiosmtpd's name)
        message: Any = email.message_from_bytes(envelope.content, policy=default)
        secure = server.transport.get_extra_info("ssl_object") is not None
        kept = {
            "sender": envelope.mail_from, "to": envelope.rcpt_tos, "subject": str(message["Subject"]),
            "text": message.get_content(),
            "headers": {name: str(value) for name, value in message.items()}, "secure": secure,
            "account": getattr(session, "account", ""),
        }  # fmt: skip
        with open(self.file, "a") as file:
            file.write(json.dumps(kept) + "\n")
        return "250 OK"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


if __name__ == "__main__":
    serving = Server(**json.loads(sys.argv[1]))
    serving.controller.start()
    print(serving.controller.port, flush=True)
    sys.stdin.read()
    serving.controller.stop()
