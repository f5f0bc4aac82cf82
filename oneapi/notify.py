"""Tells people what happened: mail, Message Pusher, webhooks."""

import logging

from oneapi.state import State

log = logging.getLogger(__name__)


def channel_disabled(state: State, id: int, name: str, reason: str) -> None:
    """A channel was taken out automatically."""
    log.warning("channel=%d disabled reason=%s", id, reason)
