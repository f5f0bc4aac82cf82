"""One mail to a mail server: encryption, certificates, sign-in, headers. Waits for it; `notify` sends aside."""

import logging
import smtplib
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from oneapi.state import State

log = logging.getLogger(__name__)

SECONDS = 15.0  # to wait for each answer of a mail server


class MailError(Exception):
    """A mail was not sent; the text says what the mail server, or we, had against it. `lasting`: it never will be."""

    def __init__(self, message: str, *, lasting: bool = False):
        super().__init__(message)
        self.lasting = lasting


def send_mail(state: State, to: str, subject: str, body: str) -> None:
    """Send an HTML mail to one or, separated by semicolons, several addresses; raises MailError."""
    now = state.settings
    if not now.smtp_server or not (now.smtp_from or now.smtp_account):
        raise MailError("no mail server is set up")
    receivers = [part.strip() for part in to.split(";") if part.strip()]
    try:
        message = _message(state, receivers, subject, body)
        envelope = now.smtp_account if "@" in now.smtp_account else now.smtp_from
        server = _connect(state)
        try:
            refused = server.send_message(message, envelope, receivers)
        finally:
            with suppress(OSError, smtplib.SMTPException):  # what the server says to our goodbye does not matter any more
                server.quit()
            server.close()
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise MailError(_reason(error), lasting=_lasting(error)) from error
    if refused:
        log.warning("mail: the mail server refused %d of %d receivers", len(refused), len(receivers))


def _message(state: State, receivers: Iterable[str], subject: str, body: str) -> EmailMessage:
    sender = state.settings.smtp_from or state.settings.smtp_account
    message = EmailMessage()
    message["From"] = Address(display_name=state.settings.system_name, addr_spec=sender)
    message["To"] = ", ".join(receivers)
    message["Subject"] = " ".join(subject.split())
    message["Date"] = formatdate(state.clock())
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2] or "localhost")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body, subtype="html", cte="base64")
    return message


def _connect(state: State) -> smtplib.SMTP:
    """A session with the mail server: TLS from the start on port 465, else STARTTLS where it is offered, then sign-in."""
    now = state.settings
    context = ssl.create_default_context()
    if not now.smtp_certificate_check:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if now.smtp_port == 465:
        server: smtplib.SMTP = smtplib.SMTP_SSL(now.smtp_server, now.smtp_port, timeout=SECONDS, context=context)
    else:
        server = smtplib.SMTP(now.smtp_server, now.smtp_port, timeout=SECONDS)
    try:
        _sign_in(state, server, context)
    except BaseException:
        server.close()
        raise
    return server


def _sign_in(state: State, server: smtplib.SMTP, context: ssl.SSLContext) -> None:
    now, secure = state.settings, isinstance(server, smtplib.SMTP_SSL)
    server.ehlo()
    if not secure and server.has_extn("starttls"):
        server.starttls(context=context)
        server.ehlo()
        secure = True
    if now.smtp_account and now.smtp_token:
        if not secure and now.smtp_server not in ("localhost", "127.0.0.1", "::1"):
            raise MailError("the mail server offers no TLS, so the password was not sent")
        server.login(now.smtp_account, now.smtp_token)


def _lasting(error: Exception) -> bool:
    """Whether the server will not take mail for any of these receivers, today or tomorrow."""
    return isinstance(error, smtplib.SMTPRecipientsRefused) and all(code >= 500 for code, _ in error.recipients.values())


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {text}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "the mail server refused the receiver"
    return "the mail server does not answer" if isinstance(error, (TimeoutError, socket.gaierror)) else str(error)
