"""News for people: mails, Message Pusher and webhooks. Sent aside, so that no request waits, and no news twice."""

import hashlib
import hmac
import html
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import gevent
from gevent.lock import BoundedSemaphore
from gevent.pool import Pool

from oneapi import guarded, messages, proxies
from oneapi.db import TROUBLE, begin_immediate
from oneapi.mailer import MailError, send_mail, sender
from oneapi.models import account, code
from oneapi.state import State

log = logging.getLogger(__name__)

SECONDS = 15.0  # to wait for a hook
TRIES = (0.0, 2.0, 10.0)  # pauses before each try
CAPS: dict[str, Any] = {"timeout": SECONDS, "max_bytes": 65536}
MINUTE, DAY = 60, 86400

_pool = Pool(500)  # notices that wait or are being sent; more are dropped
_lines = BoundedSemaphore(8)  # those that are being sent


@dataclass(frozen=True, slots=True)
class Once:
    """News of a subject that is not told again within some seconds, unless it was followed by other news."""

    subject: str
    news: str
    seconds: int


# What others call. None of these waits.


def channel_disabled(state: State, id: int, name: str, reason: str) -> None:
    once = Once(f"channel:{id}", f"disabled: {reason}", 10 * MINUTE)
    to_root(state, "channel_disabled", once, id=id, name=name, reason=reason)


def channel_enabled(state: State, id: int, name: str) -> None:
    to_root(state, "channel_enabled", Once(f"channel:{id}", "enabled", 10 * MINUTE), id=id, name=name)


def channel_slow(state: State, id: int, name: str, reason: str) -> None:
    """At most once a day and channel: it is tested again and again."""
    to_root(state, "channel_slow", Once(f"channel_slow:{id}", "slow", DAY), id=id, name=name, reason=reason)


def tests_done(state: State, total: int, failed: int) -> None:
    to_root(state, "tests_done", total=total, failed=failed)


def job_failed(state: State, name: str, error: str) -> None:
    """At most once a day for the same failure of the same job."""
    to_root(state, "job_failed", Once(f"job_failed:{name}", error, DAY), name=name, error=error)


def to_root(state: State, event: str, once: Once | None = None, **facts: Any) -> None:
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
    _pool.spawn(_in_turn, send, *what, **more)


def _guarded(send: Callable[..., Any], *what: Any, **more: Any) -> bool:
    """Send and log what goes wrong; whether nothing did."""
    try:
        send(*what, **more)
        return True
    except (MailError, guarded.FetchError) as error:
        log.warning("notices: not sent: %s", error)
    except TROUBLE as error:
        log.warning("notices: not sent: the database is away (%s)", type(error).__name__)
    return False


def _in_turn(send: Callable[..., Any], *what: Any, **more: Any) -> None:
    with _lines:
        _guarded(send, *what, **more)


# To root


def _tell_root(state: State, event: str, once: Once | None, facts: dict[str, Any]) -> None:
    if once is not None and not _new(state, once):
        return
    with state.databases.transaction() as session:
        root = account.root(session)
    language = (root.language or "") if root else ""
    subject, text = words(event, language, **facts)
    ways: list[Callable[[], Any]] = []
    if state.settings.webhook_url:
        ways.append(lambda: webhook(state, event, subject, text, facts))
    if state.settings.message_pusher_address or (root and root.email):
        ways.append(lambda: _patiently(_push_or_mail, state, root.email if root else "", subject, text))
    reached = [_guarded(way) for way in ways]
    if once is not None and ways and not any(reached):  # news that reached nobody is news when it comes again
        with state.databases.transaction() as session:
            code.drop(session, "told", once.subject)


def _new(state: State, once: Once) -> bool:
    """Whether this is not what was told last of its subject, by any process."""
    now = int(state.clock())
    with state.databases.transaction() as session:
        begin_immediate(session)
        if code.holds(session, "told", once.subject, once.news, now=now):
            return False
        code.issue(session, "told", once.subject, once.news, expires_at=now + once.seconds)
    return True


def _patiently(send: Callable[..., Any], *what: Any) -> None:
    """Try again when a server is away; raises the last MailError or FetchError."""
    for pause in TRIES[1:]:
        try:
            return send(*what)
        except (MailError, guarded.FetchError) as error:
            if getattr(error, "lasting", False):
                raise
        gevent.sleep(pause)
    return send(*what)


def _push_or_mail(state: State, email: str | None, subject: str, text: str) -> None:
    if state.settings.message_pusher_address:
        try:
            return push(state, subject, text)
        except guarded.FetchError as error:
            if not email:
                raise
            log.warning("notices: Message Pusher: %s", error)
    return send_mail(state, email or "", subject, html.escape(text))


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


def webhook(
    state: State, event: str, subject: str, text: str, facts: dict[str, Any], *, pauses: tuple[float, ...] = TRIES
) -> None:  # fmt: skip
    """POST the news as JSON, signed when there is a secret; tried again when the hook does not take it. Raises FetchError."""
    news = {"event": event, "time": int(state.clock()), "title": subject, "content": text, "data": facts}
    body = json.dumps(news, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "X-Oneapi-Event": event}
    if state.settings.webhook_secret:
        headers["X-Oneapi-Signature"] = signature(state.settings.webhook_secret, body)
    trouble = guarded.FetchError("unreachable", "The webhook was not tried.")
    for pause in pauses:
        gevent.sleep(pause)
        try:
            address = state.settings.webhook_url
            answer = guarded.post(address, data=body, headers=headers, allow_private=True, **CAPS)
        except guarded.FetchError as error:
            trouble = error
            continue
        if answer.status < 400:
            return
        trouble = guarded.FetchError("unreachable", f"The webhook answered {answer.status}.")
        if answer.status < 500 and answer.status not in (408, 429):
            break
    raise trouble


def send_test(state: State, how: str, to: str = "", language: str = "") -> str:
    """Send a test by mail, push or webhook, wait for it and return the receiver of a mail.

    A mail goes to the sender when `to` is empty. Raises MailError or FetchError with what went wrong.
    """
    system = state.settings.system_name
    subject, text = words("test", language, system=system)
    if how == "mail":
        to = to or sender(state.settings)[1]
        send_mail(state, to, subject, html.escape(text))
    elif how == "push":
        push(state, subject, text)
    elif how == "webhook":
        webhook(state, "test", subject, text, {"system": system}, pauses=TRIES[:1])  # somebody waits for it
    else:
        raise ValueError(how)
    return to


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
    return proxies.in_ascii(state.settings.server_address).rstrip("/") + path + (f"?{asked}" if asked else "")
