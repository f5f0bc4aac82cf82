"""The bill of one request: reserved before the vendor is called, settled once however the answer ends."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from oneapi.models import settlement
from oneapi.relay import estimate, meter, paid
from oneapi.relay.ask import Ask, elapsed
from oneapi.relay.gateway import Gateway
from oneapi.relay.ledger import Hold
from oneapi.relay.meter import Charge, Tariff
from oneapi.relay.refusal import Refused
from oneapi.state import Lane
from oneapi.wire import Usage

Json = dict[str, Any]

SAID_NOTHING = Usage()
LEAST_ANSWER = 16  # tokens; a balance that pays for fewer is used up


def shown(used: Usage) -> Json:
    """The classes of usage that are not zero."""
    if not (used.finer or used.reasoning or used.estimated or used.flagged):
        return {"prompt": used.prompt, "completion": used.completion}
    return {name: value for name in Usage.__slots__ if (value := getattr(used, name))}


class Bill:
    """Money of one request. `settle` and `release` may be called in any order and number; the first one counts."""

    __slots__ = ("gateway", "ask", "lane", "tariff", "hold", "reserved", "first_ms", "open", "limit", "tier")

    def __init__(self, gateway: Gateway, ask: Ask):
        self.gateway, self.ask = gateway, ask
        self.lane: Lane | None = None
        self.tariff: Tariff | None = None
        self.hold: Hold | None = None
        self.reserved = 0
        self.first_ms: int | None = None
        self.open = True
        self.limit = 0  # tokens of each answer that the reservation pays for; 0 where it pays for all the model gives
        self.tier = ""  # the service tier that the provider was asked for
        gateway.ledger.open_bills += 1

    def reserve(self, lane: Lane, model: str) -> None:
        """Set aside what this lane may cost; raises Refused. What an earlier lane had set aside is given back."""
        ask, settings = self.ask, self.gateway.state.settings
        tariff = self.gateway.tariff(model, ask.model, lane, ask.caller.group)
        if self.hold is not None:
            if self.tariff == tariff:
                self.lane = lane
                return
            self._give_back()
        want, need = estimate.reserve(tariff, ask.kind, ask.body, ask.size, settings.pre_consumed_quota, ask.estimate)
        self.limit = 0
        rate = estimate.open_rate(tariff, ask.kind, ask.body, ask.size, ask.estimate)
        if rate and not self.gateway.ledger.covers(ask.caller, most := need + math.ceil(rate * tariff.most)):
            self.hold = self._bound(tariff, rate, need, most)
        else:
            self.hold = self.gateway.ledger.reserve(ask.caller, want, need)
        self.lane, self.tariff, self.reserved = lane, tariff, self.hold.amount

    def _bound(self, tariff: Tariff, rate: float, need: int, most: int) -> Hold:
        """Reserve all that the longest answer may cost, or what is left, which then limits the answer; raises Refused."""
        least = need + math.ceil(rate * LEAST_ANSWER)
        try:
            hold = self.gateway.ledger.reserve(self.ask.caller, most, least)
        except Refused as refused:
            if refused.status not in (403, 429):
                raise
            whose, zh = ("account", "用户") if "user" in refused.message else ("API key", "令牌")
            raise Refused(
                refused.status,
                f"{refused.message.rstrip('.')}: what is left on this {whose} does not pay for the prompt and {LEAST_ANSWER} "
                f"tokens of an answer by {tariff.model}. Top it up, or choose a model that costs less.",
                refused.code,
                zh=f"{zh}剩余额度不足以支付提示词以及模型 {tariff.model} 的 {LEAST_ANSWER} 个回答令牌，请充值或使用更便宜的模型",
                type=refused.type, headers=refused.headers,
            ) from refused
        if hold.amount < most:
            self.limit = min(int((hold.amount - need) / rate), tariff.most)
        return hold

    def fitted(self, body: Json) -> Json:
        """Return the body with the limit that the reservation sets, and without paid options that the channel does not pass."""
        assert self.lane is not None and self.tariff is not None
        if not paid.NAMES.isdisjoint(body):
            choice = self.lane.config.get("paid_fields") or ("all" if self.lane.self_hosted else paid.CHOICES[0])
            body = paid.passed(body, self.tariff.fees, choice)
            self.tier = str(body.get("service_tier") or "")
        return estimate.limited(body, self.limit, self.ask.kind, self.tariff.model) if self.limit else body

    def _give_back(self) -> None:
        hold, self.hold = self.hold, None
        if hold is not None:
            self.gateway.ledger.release(hold)

    def release(self) -> None:
        """Nothing was served: nothing is charged."""
        if self.open:
            self.open = False
            self._give_back()
            self.ask.ticket.done(0)
            self.gateway.ledger.open_bills -= 1

    def broke(self, end: str, message: str = "") -> None:
        """The answer ended before it said anything: nothing is charged, and it failed unless the client had left."""
        if self.open and end != "client_left":
            self.gateway.failures.broken(self.ask, end, message)
        self.release()

    def settle(self, charge: Charge, used: Usage, end: str, *, wait: bool = True) -> None:
        """Charge what was served. With `wait`, return when the charge is safe (writer.py)."""
        if not self.open:
            return
        self.open = False
        hold, self.hold = self.hold or Hold(0, None, None), None
        ledger = self.gateway.ledger
        try:
            done = ledger.settle(hold, self._row(charge, used, end))
            self.ask.ticket.done(used.prompt + used.completion)
            if wait:
                done.wait()
        finally:
            ledger.open_bills -= 1

    def text(
        self, used: Usage | None, said: Callable[[], str], end: str, *, wait: bool = True, final: bool = False,
        media: bool = False,
    ) -> Usage:  # fmt: skip
        """Settle an answer that is paid by tokens and return the usage that was charged.

        What the provider did not report is our own count of what was delivered. Of an answer that did not end, the reported
        completion counts only as far as it covers what was delivered, unless the report was `final`. Delivered `media` cannot
        be counted: without a report of the completion they cost at least the reservation.
        """
        if not self.open:
            return used or SAID_NOTHING
        assert self.tariff is not None and self.lane is not None
        missing = used is None or not used.prompt or bool(used.flagged and meter.doubtful(used))
        partial = end != "complete" and not final
        told = used or SAID_NOTHING
        if used is None or missing or partial:
            ours = estimate.usage(self.ask.kind, self.ask.body, self.tariff.model, said(), self.gateway.state.settings)
            prompt, completion = told.prompt or ours.prompt, told.completion or ours.completion
            completion = max(completion, ours.completion) if partial else completion
            estimated = missing or completion != told.completion
            tier = told.tier or (self.tier if self.tier in self.tariff.fees.tiers else "")
            used = replace(told, prompt=prompt, completion=completion, estimated=told.estimated or estimated, tier=tier)
        charge = meter.tokens(self.tariff, used)
        counted = told.audio_completion or told.image_completion or (told.completion and not partial)
        if media and not counted and charge.quota < self.reserved:
            charge = Charge(self.reserved, [meter.line("reservation", 1, self.reserved)])
        self.settle(charge, used, end, wait=wait)
        return used

    def _row(self, charge: Charge, used: Usage, end: str) -> settlement.Row:
        ask, lane, tariff, state = self.ask, self.lane, self.tariff, self.gateway.state
        assert lane is not None and tariff is not None
        now, caller, ms = int(state.clock()), ask.caller, elapsed(ask.started)
        row = settlement.Row(
            request_id=ask.id, created_at=now, user_id=caller.user_id, token_id=caller.token_id, channel_id=lane.id,
            model=tariff.model, cost=charge.quota, prompt_tokens=used.prompt, completion_tokens=used.completion, elapsed=ms,
            limited=not caller.unlimited,
        )  # fmt: skip
        if state.settings.log_consume_enabled:
            row.log = self._log(charge, used, end, now, ms)
        return row

    def _log(self, charge: Charge, used: Usage, end: str, now: int, ms: int) -> Json:
        ask, lane, tariff = self.ask, self.lane, self.tariff
        assert lane is not None and tariff is not None
        return {
            "user_id": ask.caller.user_id, "created_at": now, "type": 2, "username": ask.caller.username,
            "content": tariff.told,
            "token_name": ask.caller.token_name, "model_name": tariff.model, "quota": charge.quota,
            "prompt_tokens": used.prompt, "completion_tokens": used.completion, "channel_id": lane.id, "request_id": ask.id,
            "elapsed_time": ms, "is_stream": ask.streaming, "system_prompt_reset": ask.prompt_reset,
            "detail": self._detail(charge, used, end),
        }  # fmt: skip

    def _detail(self, charge: Charge, used: Usage, end: str) -> str:
        """What explains the charge for ever, as JSON."""
        ask, tariff = self.ask, self.tariff
        assert tariff is not None
        detail = {
            "asked": ask.model, "served": tariff.model, "path": ask.path, "end": end, "reserved": self.reserved,
            "first_ms": self.first_ms, "usage": shown(used),
            "price": tariff.shown | {"tier": tariff.fees.factor(used.tier) or 1.0} if used.tier else tariff.shown,
            "lines": charge.lines, "attempts": ask.attempts,
        }  # fmt: skip
        if tariff.unpriced:
            detail["unpriced"] = True
        if charge.uncharged:
            detail["uncharged"] = charge.uncharged
        return orjson.dumps(detail).decode()

    def first(self) -> None:
        """The first token is here."""
        if self.first_ms is None:
            self.first_ms = int((time.monotonic() - self.ask.started) * 1000)
