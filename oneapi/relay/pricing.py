"""Price lookup: the price that an administrator set, that of the catalogue, and what holds for models without one."""

from dataclasses import dataclass

from oneapi.catalog import fees, prices
from oneapi.catalog.fees import Fees
from oneapi.catalog.prices import Overrides, Price
from oneapi.relay import meter
from oneapi.relay.refusal import Refused
from oneapi.settings import Settings

# Where a price may come from, by Lane.self_hosted. What providers charge says nothing of models on an operator's own
# machine; the figures of the generated price book say little of a server in front of models.
ACCEPTED = {"": ("set", "checked", "book"), "service": ("set", "checked"), "models": ("set",)}
FREE = Price(0.0)


@dataclass(frozen=True, slots=True)
class Found:
    """A price; `unpriced` says that it stands in for a missing one."""

    price: Price
    unpriced: bool = False


def find(model: str, asked: str, channel_type: int, self_hosted: str, settings: Settings) -> Found | None:
    """Return the price of a model, by the provider's name or the name it was asked by; None when the settings refuse it."""
    table = meter.overrides(settings)
    for name in (model, asked):
        price = known(name, channel_type, self_hosted, table)
        if price is not None:
            return Found(meter.finer(price, name, settings))
    if self_hosted:
        return Found(FREE, unpriced=True)
    if settings.unknown_model_policy == "refuse":
        return None
    return Found(Price(prices.COMPATIBLE_UNKNOWN, prices.completion_ratio(model, channel_type, table)), unpriced=True)


def fees_of(model: str, asked: str, channel_type: int, self_hosted: str, settings: Settings) -> Fees:
    """Return what a model costs beside its tokens; the catalogue's figures do not hold on self-hosted channels."""
    tools, tiers = settings.tool_price, settings.tier_ratio
    if self_hosted:
        return fees.with_own(fees.NONE, model, tools, tiers)
    found = fees.fees(model, channel_type, tools, tiers)
    return found if found.tools or found.tiers else fees.fees(asked, channel_type, tools, tiers)


def known(name: str, channel_type: int, self_hosted: str, table: Overrides) -> Price | None:
    """Return the price of a model on a channel; None when there is none that applies."""
    if prices.origin(name, channel_type, table) not in ACCEPTED[self_hosted]:
        return None
    return prices.price(name, channel_type, table)


def missing(model: str) -> Refused:
    """Return the refusal of a model without a price. Clients do not repeat a request that got 400."""
    return Refused(
        400,
        f"The model {model} has no price, so it cannot be charged. An administrator can set one under Prices, or choose under "
        "Settings, Quota what models without a price cost.",
        "model_price_missing",
        zh=f"模型 {model} 没有价格，无法计费。请管理员在“价格”页设置价格，或在“设置 - 额度”中选择无价格模型的计费方式",
        param="model",
    )
