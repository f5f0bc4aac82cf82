"""News for people: mails, Message Pusher and webhooks. Sent aside, so that no request waits, and no news twice."""

import hashlib
import hmac
import html
import json
import logging
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterable
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any
from urllib.parse import quote

import gevent
from gevent.pool import Pool

from oneapi import guarded, messages
from oneapi.models import account, code
from oneapi.state import State

log = logging.getLogger(__name__)

SECONDS = 15.0  # to wait for a mail server or a hook
TRIES = (0.0, 2.0, 10.0)  # pauses before each try of a webhook
CAPS: dict[str, Any] = {"timeout": SECONDS, "max_bytes": 65536}
DAY = 86400

_pool = Pool(8)


class MailError(Exception):
    """A mail was not sent; the text says what the mail server, or we, had against it."""


# What others call. None of these waits.


def channel_disabled(state: State, id: int, name: str, reason: str) -> None:
    to_root(state, "channel_disabled", id=id, name=name, reason=reason)


def channel_enabled(state: State, id: int, name: str) -> None:
    to_root(state, "channel_enabled", id=id, name=name)


def channel_slow(state: State, id: int, name: str, reason: str) -> None:
    """At most once a day and channel: it is tested again and again."""
    to_root(state, "channel_slow", once=f"channel_slow:{id}", id=id, name=name, reason=reason)


def tests_done(state: State, total: int, failed: int) -> None:
    to_root(state, "tests_done", total=total, failed=failed)


def job_failed(state: State, name: str, error: str) -> None:
    """At most once a day for the same failure of the same job."""
    to_root(state, "job_failed", once=f"job_failed:{name}:{error}", name=name, error=error)


def to_root(state: State, event: str, *, once: str = "", **facts: Any) -> None:
    """Tell whoever runs this installation, by every way that is set up."""
    _aside(_tell_root, state, event, once, facts)


def mail_soon(state: State, to: str, event: str, language: str = "en", **facts: Any) -> None:
    """Send a mail and only log what goes wrong."""
    _aside(mail, state, to, event, language, **facts)


def drain(seconds: float = 30.0) -> bool:
    """Wait until everything is sent, e.g. at the end of a process; False when something was not."""
    return bool(_pool.join(seconds))


def _aside(send: Callable[..., Any], *what: Any, **more: Any) -> None:
    if _pool.full():
        log.warning("notices: too many at once, one was dropped")
        return
    _pool.spawn(_guarded, send, *what, **more)


def _guarded(send: Callable[..., Any], *what: Any, **more: Any) -> None:
    try:
        send(*what, **more)
    except (MailError, guarded.FetchError) as error:
        log.warning("notices: not sent: %s", error)


# To root


def _tell_root(state: State, event: str, once: str, facts: dict[str, Any]) -> None:
    if once and not _first(state, once):
        return
    with state.databases.transaction() as session:
        root = account.root(session)
    language = (root.language or "") if root else ""
    subject, text = words(event, language, **facts)
    ways: list[Callable[[], Any]] = []
    if state.settings.webhook_url:
        ways.append(lambda: webhook(state, event, subject, text, facts))
    if state.settings.message_pusher_address or (root and root.email):
        ways.append(lambda: _push_or_mail(state, root.email if root else "", subject, text))
    for way in ways:
        _guarded(way)


def _first(state: State, news: str) -> bool:
    """Whether this news was not told within a day, by any process."""
    now, subject = int(state.clock()), hashlib.sha256(news.encode()).hexdigest()
    with state.databases.transaction() as session:
        if code.known(session, "told", [subject], now=now):
            return False
        code.issue(session, "told", subject, subject, expires_at=now + DAY)
    return True


def _push_or_mail(state: State, email: str | None, subject: str, text: str) -> None:
    if state.settings.message_pusher_address:
        try:
            return push(state, subject, text)
        except guarded.FetchError as error:
            log.warning("notices: Message Pusher: %s", error)
    if email:
        send_mail(state, email, subject, html.escape(text))
    return None


def push(state: State, subject: str, text: str) -> None:
    """Send through Message Pusher; raises FetchError."""
    body = {"title": subject, "description": subject, "content": text, "url": "", "channel": ""}
    body["token"] = state.settings.message_pusher_token
    address = state.settings.message_pusher_address
    answer = guarded.post(address, json=body, allow_private=True, **CAPS)
    try:
        said = json.loads(answer.body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not said.get("success"):
        reason = str(said.get("message") if isinstance(said, dict) else "") or f"status {answer.status}"
        raise guarded.FetchError("unreachable", f"Message Pusher refused: {reason}")


def webhook(state: State, event: str, subject: str, text: str, facts: dict[str, Any]) -> None:
    """POST the news as JSON, signed when there is a secret; tried again when the hook does not take it. Raises FetchError."""
    news = {"event": event, "time": int(state.clock()), "title": subject, "content": text, "data": facts}
    body = json.dumps(news, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "X-Oneapi-Event": event}
    if state.settings.webhook_secret:
        headers["X-Oneapi-Signature"] = signature(state.settings.webhook_secret, body)
    trouble = guarded.FetchError("unreachable", "The webhook was not tried.")
    for pause in TRIES:
        gevent.sleep(pause)
        try:
            address = state.settings.webhook_url
            answer = guarded.post(address, data=body, headers=headers, allow_private=True, **CAPS)
        except guarded.FetchError as error:
            trouble = error
            continue
        if answer.status < 500:
            return
        trouble = guarded.FetchError("unreachable", f"The webhook answered {answer.status}.")
    raise trouble


def signature(secret: str, body: bytes) -> str:
    """What X-Oneapi-Signature holds: HMAC-SHA-256 of the body, in hex."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


# Mails


def words(event: str, language: str, **facts: Any) -> tuple[str, str]:
    """Subject and text of a notice; in both languages when nobody knows which."""
    both = messages.NOTICES[event]
    chosen = [both[0 if messages.chinese(language) else 1]] if language else list(both)
    subjects, texts = ([part.format_map(facts) for part in parts] for parts in zip(*chosen, strict=True))
    return " / ".join(subjects), "\n".join(texts)


def mail(state: State, to: str, event: str, language: str = "en", **facts: Any) -> None:
    """Write and send a mail now; raises MailError. A fact named `link` becomes one."""
    system = state.settings.system_name
    subject, _ = words(event, language, system=system, **facts)
    safe = {name: html.escape(str(value)) for name, value in facts.items()}
    if "link" in safe:
        safe["link"] = f'<a href="{safe["link"]}">{safe["link"]}</a>'
    _, text = words(event, language, system=html.escape(system), **safe)
    send_mail(state, to, subject, f"<p>{text}</p>")


def link(state: State, path: str, **query: str) -> str:
    """An address of this installation for mails."""
    asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return state.settings.server_address.rstrip("/") + path + (f"?{asked}" if asked else "")


def send_mail(state: State, to: str, subject: str, body: str) -> None:
    """Send an HTML mail to one or, separated by semicolons, several addresses; raises MailError."""
    now = state.settings
    if not now.smtp_server or not (now.smtp_from or now.smtp_account):
        raise MailError("no mail server is set up")
    receivers = [part.strip() for part in to.split(";") if part.strip()]
    try:
        message = _message(state, receivers, subject, body)
        envelope = now.smtp_account if "@" in now.smtp_account else now.smtp_from
        with _connect(state) as server:
            server.send_message(message, envelope, receivers)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise MailError(_reason(error)) from error


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


def _reason(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {text}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "the mail server refused the receiver"
    return "the mail server does not answer" if isinstance(error, (TimeoutError, socket.gaierror)) else str(error)
