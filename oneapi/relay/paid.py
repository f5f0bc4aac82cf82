"""Request fields that make a provider charge more than the listed price: passed on where they are priced. Pure."""

from typing import Any

from oneapi.catalog.fees import Fees

Json = dict[str, Any]

# Field → the tool it calls; None where its value names a service tier. `store` keeps the answer in the provider's account.
FIELDS: dict[str, str | None] = {
    "service_tier": None, "speed": None, "web_search_options": "web_search", "search_parameters": "web_search", "store": "",
}  # fmt: skip
NAMES = frozenset(FIELDS)
CHOICES = ("priced", "all", "none")  # values of a channel's option `paid_fields`; the first is the default


def passed(body: Json, fees: Fees, choice: Any) -> Json:
    """Return the body without the fields that the channel does not pass on; the body itself where nothing changes."""
    if choice == "all":
        return body
    dropped = {name for name in FIELDS if name in body and not (choice != "none" and _priced(name, body[name], fees))}
    return {k: v for k, v in body.items() if k not in dropped} if dropped else body


def _priced(name: str, value: Any, fees: Fees) -> bool:
    """Whether what a field asks for has a price, or costs nothing."""
    tool = FIELDS[name]
    if tool is None:
        return value is None or (isinstance(value, str) and fees.factor(value) is not None)
    return not tool or value is None or value is False or tool in fees.tools
