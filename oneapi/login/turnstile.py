"""Cloudflare Turnstile: whether a person stands before the form. Asked once per session."""

import json
from collections.abc import MutableMapping
from typing import Any

from oneapi import guarded
from oneapi.messages import Refused
from oneapi.state import State

SECONDS = 5.0


def check(state: State, session: MutableMapping[str, Any], token: str, ip: str) -> None:
    """Raise Refused unless the check is off, was passed in this session, or is passed now."""
    now = state.settings
    if not now.turnstile_check_enabled or session.get("turnstile"):
        return
    if not token:
        raise Refused("turnstile_missing", field="turnstile")
    form = {"secret": now.turnstile_secret_key, "response": token, "remoteip": ip}
    try:
        answer = guarded.post(now.turnstile_verify_url, data=form, timeout=SECONDS, max_bytes=65536, allow_private=True)
        passed = json.loads(answer.body).get("success") is True
    except (guarded.FetchError, ValueError, AttributeError):
        passed = False
    if not passed:
        raise Refused("turnstile_failed", field="turnstile")
    session["turnstile"] = True
