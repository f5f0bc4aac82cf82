"""Models and prices: what somebody's group can use, what it costs them, and how to ask for it. Visitors see the default group."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flask import Response, abort, request
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access
from oneapi.catalog import fees, images
from oneapi.catalog.fees import Fees
from oneapi.catalog.prices import Price
from oneapi.doors import GuardedBlueprint
from oneapi.models.user import Role
from oneapi.pages import explain, lists, makers, snippets
from oneapi.pages.render import htmx, page
from oneapi.relay import probe
from oneapi.relay.refusal import Refused
from oneapi.state import Tiers

bp = GuardedBlueprint("pricing", __name__)

SORTS = ("name", "in", "out")
OTHERS = "custom"  # the filter's value for models that are in no list
# Price's fields that have a figure of their own, and what they are called.
FINER = ("cached", "cache_write", "cache_write_1h", "audio_in", "audio_out", "image_in", "image_out")


@dataclass(frozen=True)
class Offer:
    """One model as one group meets it; money is in dollars, for a million tokens or for one call."""

    model: str
    owner: str  # its maker's name; "" when nobody knows
    price: Price | None  # None: it has no price, and is refused
    ratio: float  # the group's
    per_unit: float
    kind: str = "chat"
    tiers: Tiers = ()
    fees: Fees = fees.NONE

    @property
    def channels(self) -> int:
        return sum(len(tier.lanes) for tier in self.tiers)

    @cached_property
    def rested(self) -> int:
        """How many of the channels rest after failures."""
        resting = access.state().gateway.health.resting
        return sum(resting(lane) for tier in self.tiers for lane in tier.lanes)

    @property
    def tools(self) -> list[tuple[str, float]]:
        """The provider's own tools and the dollars of one call."""
        each = fees.PER_DOLLAR * self.ratio / self.per_unit
        return [(explain.tool(kind), figure * each) for kind, figure in sorted(self.fees.tools.items()) if figure]

    def dollars(self, figure: float | None, *, base: bool = False) -> float | None:
        """Ratio units as dollars for a million tokens."""
        return None if figure is None else figure * (1 if base else self.ratio) * 1e6 / self.per_unit

    @property
    def by_piece(self) -> tuple[float, str] | None:
        """Dollars for one call, image or minute, for models that are priced so."""
        price = self.price
        if price is None:
            return None
        drawn = self.model in images.MODELS and price.image_out is None
        factor = images.cost_factor(self.model, images.DEFAULT_SIZE) if drawn else 1.0
        each = price.per_minute if price.per_minute is not None else price.per_call
        if each is None and drawn:
            each = price.ratio
        if each is None:
            return None
        piece = "image" if drawn else "minute" if price.per_minute is not None else "call"
        return each * factor * 1000 * self.ratio / self.per_unit, piece

    @property
    def into(self) -> float:
        return -1 if self.price is None else self.price.ratio * self.ratio

    @property
    def out(self) -> float:
        return -1 if self.price is None else self.price.ratio * self.price.completion * self.ratio

    @property
    def cheaper(self) -> bool:
        return self.ratio < 1 and self.price is not None


def offer(model: str, group: str) -> Offer | None:
    """A model as the relay would price it for a group: by the first channel in line. None when nobody serves it."""
    state = access.state()
    tiers = state.snapshot.candidates.get((group, model))
    if not tiers:
        return None
    lane = tiers[0].lanes[0]
    try:
        tariff = state.gateway.tariff(lane.serves(model), model, lane, group)
        price, beside = tariff.price, tariff.fees
    except Refused:
        price, beside = None, fees.NONE
    ratio, per_unit = state.settings.group_ratio.get(group, 1.0), state.settings.quota_per_unit
    return Offer(model, makers.maker(model), price, ratio, per_unit, probe.kind_of(model, lane), tiers, beside)


def groups() -> list[str]:
    """The groups whose prices the reader may see: one's own; an administrator's are all."""
    if not current_user.is_authenticated:
        return ["default"]
    own = current_user.row.group or "default"
    known = list(access.state().settings.group_ratio) if current_user.role >= Role.ADMIN else []
    return [own, *(name for name in known if name != own)]


def _group() -> str:
    wish, allowed = request.args.get("group", ""), groups()
    return wish if wish in allowed else allowed[0]


@bp.route("/pricing", allow=None)
def index() -> Response:
    view = lists.view("/pricing", {"q": None, "owner": None, "kind": None, "group": groups(), "unit": ("k",)}, SORTS, "name")
    group = _group()
    found = [made for model in access.state().snapshot.group_models.get(group, ()) if (made := offer(model, group))]
    words, of_kind = makers.kinds(), Counter(made.kind for made in found)
    kinds = [(kind, words.get(kind, kind), n) for kind, n in of_kind.most_common()]
    owners = sorted(Counter(made.owner or OTHERS for made in found).items())
    found = [made for made in found if view["q"].lower() in made.model.lower()]
    found = [m for m in found if view["owner"] in ("", m.owner or OTHERS) and view["kind"] in ("", m.kind)]
    orders: dict[str, Any] = {"name": lambda o: o.model.lower(), "in": lambda o: o.into, "out": lambda o: o.out}
    found.sort(key=orders[view.order], reverse=view.descending)
    view = view.counted(len(found))
    return page(
        "pricing/index.html", "list", view=view, rows=found[view.offset : view.last], owners=owners, kinds=kinds,
        group=group, groups=groups(), per=1000 if view["unit"] == "k" else 1, figure=figure, piece=piece, others=OTHERS,
    )  # fmt: skip


@bp.route("/pricing/<path:model>", allow=None)
def detail(model: str) -> Response:
    """One model: every class of its price, what each group pays, and how to ask for it."""
    offers = {group: made for group in groups() if (made := offer(model, group))}
    if not offers:
        abort(404)
    kind = next(iter(offers.values())).kind
    data: dict[str, Any] = {
        "title": model,
        "model": model,
        "offers": offers,
        "offer": next(iter(offers.values())),
        "snippet_model": model,
        "snippet_kind": kind,
        "endpoint": snippets.path(kind),
    }
    words = {
        "cached": _("Cached input"), "cache_write": _("Written to the cache"),
        "cache_write_1h": _("Written to the cache for an hour"), "audio_in": _("Audio input"),
        "audio_out": _("Audio output"), "image_in": _("Image input"), "image_out": _("Image output"),
    }  # fmt: skip
    whole = "pricing/panel.html" if htmx() else "pricing/page.html"
    return page(whole, finer=[(name, words[name]) for name in FINER], figure=figure, piece=piece, **data)


def piece(offer: Offer) -> str:
    """The price of one call, image or minute in words; empty for models that are priced by tokens."""
    if offer.by_piece is None:
        return ""
    dollars, what = offer.by_piece
    words = {"call": _("%(price)s per call"), "image": _("%(price)s per image"), "minute": _("%(price)s per minute")}
    return words[what] % {"price": figure(dollars)}


def figure(dollars: float | None) -> str:
    """A price: as many digits as it needs, at least two decimals and at most four that count."""
    if dollars is None:
        return "–"
    digits = max(2, min(6, 3 - math.floor(math.log10(dollars)))) if dollars > 0 else 2
    whole, _point, rest = f"{dollars:,.{digits}f}".partition(".")
    return f"${whole}.{rest.rstrip('0').ljust(2, '0')}"
