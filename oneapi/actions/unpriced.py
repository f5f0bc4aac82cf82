"""Models of a channel that have no price, and what requests for them cost."""

from oneapi import snapshot
from oneapi.models.channel import Channel
from oneapi.relay import meter, pricing
from oneapi.state import State


def of(state: State, row: Channel) -> list[str]:
    """Return the models of a channel for which neither an administrator nor the catalogue has a price."""
    lane = snapshot.lane(row, state.config)
    if lane is None:
        return []
    table = meter.overrides(state.settings)
    names = ((model, lane.serves(model)) for model in row.model_names())
    return [
        model
        for model, served in names
        if not any(pricing.known(name, lane.type, lane.self_hosted, table) for name in (served, model))
    ]


def policy(state: State, row: Channel) -> str:
    """Return what happens to requests for them: "free" on self-hosted channels, else the setting, "refuse" or "30"."""
    return "free" if snapshot.self_hosted(row.type, row.base_url or "") else str(state.settings.unknown_model_policy)
