"""One mail to a mail server: encryption, certificates, sign-in, headers. Waits for it; `notify` sends aside."""

import base64
import hmac
import logging
import smtplib
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from oneapi import mailbox
from oneapi.settings import Settings
from oneapi.state import State

log = logging.getLogger(__name__)

SECONDS = 15.0  # to wait for each answer of a mail server
LOCAL = ("localhost", "127.0.0.1", "::1")  # servers that get the password without TLS


class MailError(Exception):
    """A mail was not sent; the text says what the mail server, or we, had against it. `lasting`: it never will be."""

    def __init__(self, message: str, *, lasting: bool = False):
        super().__init__(message)
        self.lasting = lasting


def send_mail(state: State, to: str, subject: str, body: str) -> None:
    """Send an HTML mail to one or, separated by semicolons, several addresses; raises MailError."""
    now = state.settings
    if not now.smtp_server.strip() or not (now.smtp_from or now.smtp_account):
        raise MailError("no mail server is set up")
    receivers = [mailbox.in_ascii(part) for part in to.split(";") if part.strip()]
    try:
        message = _message(state, receivers, subject, body)
        account = mailbox.sender(now.smtp_account)
        envelope = account[1] if account else sender(now)[1]
        server = _connect(now)
        try:
            refused = server.send_message(message, envelope, receivers)
        finally:
            with suppress(OSError, smtplib.SMTPException):  # what the server says to our goodbye does not matter any more
                server.quit()
            server.close()
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise MailError(_reason(error, now), lasting=_lasting(error)) from error
    if refused:
        log.warning("mail: the mail server refused %d of %d receivers", len(refused), len(receivers))


def sender(now: Settings) -> tuple[str, str]:
    """Return name and address that mails come from; raises MailError when the settings name no address."""
    found = mailbox.sender(now.smtp_from or now.smtp_account)
    if found is None:
        raise MailError("no sender is set up: give SMTPFrom an e-mail address, as the account is not one")
    return found[0] or _line(now.system_name), found[1]


def _line(text: str) -> str:
    """Return a text as one line; header fields take no line breaks."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _message(state: State, receivers: Iterable[str], subject: str, body: str) -> EmailMessage:
    name, address = sender(state.settings)
    message = EmailMessage()
    message["From"] = Address(display_name=name, addr_spec=address)
    message["To"] = ", ".join(receivers)
    message["Subject"] = _line(subject)
    message["Date"] = formatdate(state.clock())
    message["Message-ID"] = make_msgid(domain=address.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body, subtype="html", cte="base64")
    return message


def _connect(now: Settings) -> smtplib.SMTP:
    """Open a session with the mail server, encrypted as the setting SMTPSecurity says, and sign in."""
    context = ssl.create_default_context()
    if not now.smtp_certificate_check:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host = mailbox.ascii_domain(now.smtp_server.strip())
    if now.smtp_security == "tls" or (now.smtp_security == "automatic" and now.smtp_port == 465):
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, now.smtp_port, timeout=SECONDS, context=context)
    else:
        server = smtplib.SMTP(host, now.smtp_port, timeout=SECONDS)
    try:
        _sign_in(now, server, context)
    except BaseException:
        server.close()
        raise
    return server


def _sign_in(now: Settings, server: smtplib.SMTP, context: ssl.SSLContext) -> None:
    secure = isinstance(server, smtplib.SMTP_SSL)
    server.ehlo()
    if not secure and now.smtp_security in ("automatic", "starttls"):
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
            secure = True
        elif now.smtp_security == "starttls":
            raise MailError("the mail server does not offer STARTTLS")
    if now.smtp_account and now.smtp_token:
        if not secure and now.smtp_security != "none" and now.smtp_server.strip() not in LOCAL:
            raise MailError("the mail server offers no TLS, so the password was not sent")
        _authenticate(server, now.smtp_account.strip(), now.smtp_token)


def _authenticate(server: smtplib.SMTP, account: str, password: str) -> None:
    """Sign in by the first mechanism that the server accepts.

    smtplib encodes credentials as ASCII; RFC 4616 wants UTF-8, and so do servers with LOGIN and CRAM-MD5.
    """
    offered = str(server.esmtp_features.get("auth", "")).upper().split()
    refusal: smtplib.SMTPException | None = None
    for name, attempt in MECHANISMS.items():
        if name in offered:
            code, said = attempt(server, account.encode(), password.encode())
            if code in (235, 503):  # 503: signed in already
                return
            refusal = smtplib.SMTPAuthenticationError(code, said)
    raise refusal or MailError("the mail server offers no sign-in that is supported: PLAIN, LOGIN or CRAM-MD5")


def _coded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def _cram_md5(server: smtplib.SMTP, account: bytes, password: bytes) -> tuple[int, bytes]:
    code, said = server.docmd("AUTH", "CRAM-MD5")
    if code != 334:
        return code, said
    digest = hmac.new(password, base64.b64decode(said), "md5").hexdigest()
    return server.docmd(_coded(account + b" " + digest.encode()))


def _plain(server: smtplib.SMTP, account: bytes, password: bytes) -> tuple[int, bytes]:
    return server.docmd("AUTH", "PLAIN " + _coded(b"\0" + account + b"\0" + password))


def _login(server: smtplib.SMTP, account: bytes, password: bytes) -> tuple[int, bytes]:
    code, said = server.docmd("AUTH", "LOGIN " + _coded(account))
    if code == 501:  # a server that wants the name on a line of its own
        code, said = server.docmd("AUTH", "LOGIN")
        code, said = server.docmd(_coded(account)) if code == 334 else (code, said)
    return server.docmd(_coded(password)) if code == 334 else (code, said)


MECHANISMS = {"CRAM-MD5": _cram_md5, "PLAIN": _plain, "LOGIN": _login}


def _lasting(error: Exception) -> bool:
    """Whether the server will not take mail for any of these receivers, today or tomorrow."""
    return isinstance(error, smtplib.SMTPRecipientsRefused) and all(code >= 500 for code, _ in error.recipients.values())


def _reason(error: Exception, now: Settings) -> str:
    """Return why a mail was not sent: what the server answered, word for word, or what failed before it answered."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers = "; ".join(f"{code} {_text(said)}" for code, said in error.recipients.values())
        return f"the mail server refused the receiver: {answers}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the mail server takes only addresses of ASCII letters before the @ (it does not offer SMTPUTF8)"
    if isinstance(error, ssl.SSLError) and "WRONG_VERSION_NUMBER" in str(error):
        return f"port {now.smtp_port} does not speak TLS from the start: set SMTPSecurity to starttls, or another port ({error})"
    if isinstance(error, socket.gaierror):
        return f"the name of the mail server {now.smtp_server} cannot be resolved"
    if isinstance(error, TimeoutError):
        plain = now.smtp_security != "tls" and now.smtp_port != 465
        return "the mail server does not answer" + "; if it speaks TLS from the start, set SMTPSecurity to tls" * plain
    return str(error)


def _text(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said
