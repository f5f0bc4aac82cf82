"""How channels are doing in this process: which rest, how often they failed, and when one is disabled for it."""

import logging
import time
from collections import deque

import gevent

from oneapi import notify
from oneapi.models import ability, channel, version
from oneapi.relay import policy
from oneapi.state import Lane, State
from oneapi.wire import VendorError

log = logging.getLogger(__name__)

LONGEST_REST = 3600.0  # seconds, whatever a vendor asks for


class Health:
    """Rests and success rates by channel, and by key of channels with several keys."""

    def __init__(self, state: State):
        self.state = state
        self._rests: dict[tuple[int, str], float] = {}  # (channel, key or "") → monotonic time at which it may work again
        self._results: dict[int, deque[bool]] = {}
        self._disabling: set[int] = set()
        state.listeners.append(self._on_change)

    def resting(self, lane: Lane) -> bool:
        """Whether the channel, or each of its keys, rests."""
        if not self._rests:
            return False
        now = time.monotonic()
        if self._rests.get((lane.id, ""), 0.0) > now:
            return True
        return len(lane.keys) > 1 and all(self._rests.get((lane.id, key), 0.0) > now for key in lane.keys)

    def key(self, lane: Lane) -> str:
        """The channel's next key in turn, resting ones passed over."""
        if len(lane.keys) == 1:
            return lane.keys[0]
        now = time.monotonic()
        for _ in lane.keys:
            lane.next_key = (lane.next_key + 1) % len(lane.keys)
            chosen = lane.keys[lane.next_key]
            if self._rests.get((lane.id, chosen), 0.0) <= now:
                return chosen
        return lane.keys[lane.next_key]

    def rest(self, lane: Lane, seconds: float, key: str = "") -> None:
        several = len(lane.keys) > 1
        self._rests[(lane.id, key if several else "")] = time.monotonic() + min(seconds, LONGEST_REST)

    def succeeded(self, lane: Lane) -> None:
        if self.state.config.enable_metric:
            self._count(lane, True)

    def failed(self, lane: Lane, error: VendorError, key: str) -> None:
        """Draw the consequences that `policy` names: rest, count, disable."""
        rule = policy.POLICIES[error.kind]
        several = len(lane.keys) > 1
        if rule.rest:
            self.rest(lane, error.retry_after or self.state.settings.cooldown_seconds, key)
        if policy.disables(error):
            if several:
                self.rest(lane, LONGEST_REST, key)  # one bad key among several must not take the channel down
            elif self.state.settings.automatic_disable_channel_enabled:
                self.disable(lane, error.message or error.kind)
                return
        if rule.counts and self.state.config.enable_metric:
            self._count(lane, False)

    def _count(self, lane: Lane, success: bool) -> None:
        config = self.state.config
        results = self._results.setdefault(lane.id, deque(maxlen=config.metric_queue_size))
        results.append(success)
        if success or len(results) < config.metric_queue_size:
            return
        rate = sum(results) / len(results)
        if rate < config.metric_success_rate_threshold:
            results.clear()
            self.disable(lane, f"success rate {rate:.0%} of the last {config.metric_queue_size} requests")

    def disable(self, lane: Lane, reason: str) -> None:
        """Take the channel out, here at once and everywhere within two seconds; done aside, so that no request waits."""
        if lane.id in self._disabling or not lane.enabled:
            return
        self._disabling.add(lane.id)
        self.rest(lane, 60.0)
        gevent.spawn(self._disable, lane, reason)

    def _disable(self, lane: Lane, reason: str) -> None:
        try:
            if set_status(self.state, lane.id, channel.Status.ENABLED, channel.Status.AUTO_DISABLED, reason):
                log.warning("channel=%d disabled: %s", lane.id, reason)
                notify.channel_disabled(self.state, lane.id, lane.name, reason)
        finally:
            self._disabling.discard(lane.id)

    def _on_change(self, topic: str) -> None:
        """A channel that was switched on again, or given a new key, starts with a clean slate."""
        if topic == "channels":
            lanes = self.state.snapshot.lanes
            known = {(lane.id, key) for lane in lanes.values() for key in ("", *lane.keys)}
            self._rests = {at: until for at, until in self._rests.items() if at in known and lanes[at[0]].enabled}
            self._results = {id: results for id, results in self._results.items() if id in lanes and lanes[id].enabled}


def set_status(state: State, id: int, was: int, becomes: int, reason: str) -> bool:
    """Change a channel's status if it still is `was`; a person's decision is never overwritten. True when it changed."""
    with state.databases.transaction() as session:
        changed = channel.change_status(session, id, was, becomes, reason=reason, now=int(state.clock()))
        if changed:
            ability.set_enabled(session, id, becomes == channel.Status.ENABLED)
            version.bump(session, "channels")
    if changed:
        state.changed()
    return changed
