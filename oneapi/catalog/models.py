"""Which models each channel type offers to begin with, and who owns a model. A channel's own list is always the truth."""

from collections.abc import Mapping
from typing import Any

from oneapi.catalog import load

UNKNOWN_OWNER = "custom"


def channel_models(channel_type: int) -> tuple[str, ...]:
    """The models the form proposes for a channel type, older names first; empty where only the operator can know."""
    return DEFAULTS.get(channel_type, ())


def owned_by(model: str) -> str:
    """The owner as /v1/models names it; "custom" for a model in no list."""
    return OWNERS.get(model, UNKNOWN_OWNER)


def check(data: Mapping[str, Any], name: str = "models.json") -> dict[int, tuple[str, ...]]:
    """The lists of data/models.json by channel type, checked; `same_as` shares another type's list."""
    types = data["types"]
    lists: dict[int, tuple[str, ...]] = {}
    for key, entry in types.items():
        load.need(name, key, key.isdecimal(), "a channel type is a number")
        if "same_as" not in entry:
            both = [*entry["models"], *entry["added"]]
            load.need(
                name, key, all(isinstance(model, str) and model.strip() == model != "" for model in both), "a name is blank"
            )
            load.need(name, key, len(set(both)) == len(both), f"lists {_twice(both)!r} twice")
            load.need(name, key, bool(entry.get("owner")), "needs an owner")
            lists[int(key)] = tuple(both)
    for key, entry in types.items():
        if "same_as" in entry:
            load.need(name, key, entry["same_as"] in lists, "is the same as a type that has no list")
            lists[int(key)] = lists[entry["same_as"]]
    return dict(sorted(lists.items()))


def _twice(names: list[str]) -> str:
    return next((name for name in names if names.count(name) > 1), "")


def _makers(types: Mapping[str, Any]) -> dict[str, int]:
    """Channel type by model in the order of the catalogue; the first type that lists a model made it."""
    makers: dict[str, int] = {}
    for key in sorted(types, key=int):
        for model in [*types[key].get("models", ()), *types[key].get("added", ())]:
            makers.setdefault(model, int(key))
    return makers


_DATA = load.read("models.json")
CHECKED: str = _DATA["checked"]
DEFAULTS: Mapping[int, tuple[str, ...]] = check(_DATA)
MAKERS: Mapping[str, int] = _makers(_DATA["types"])
# Also every known model, in catalogue order.
OWNERS: Mapping[str, str] = {model: _DATA["types"][str(type)]["owner"] for model, type in MAKERS.items()}
