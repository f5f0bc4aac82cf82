"""What a key may know without calling a vendor: its models and its budget, in OpenAI's shapes."""

from typing import Any

from oneapi.catalog import models as catalog
from oneapi.models import ledger, token, user
from oneapi.relay.refusal import Refused
from oneapi.state import Caller, State

Json = dict[str, Any]

PERMISSION = {
    "id": "modelperm-LwHkVFn8AcMItP432fKKDIKJ", "object": "model_permission", "created": 1626777600, "allow_create_engine": True,
    "allow_sampling": True, "allow_logprobs": True, "allow_search_indices": False, "allow_view": True, "allow_fine_tuning": False,
    "organization": "*", "group": None, "is_blocking": False,
}  # fmt: skip
UNLIMITED = 100_000_000


def find(state: State, caller: Caller, path: str) -> Json:
    """The answer to a GET of one of endpoints.TOLD, or of one model."""
    if path == "/v1/models":
        return {"object": "list", "data": [entry(model) for model in models(state, caller)]}
    if path.startswith("/v1/models/"):
        return one(state, caller, path.removeprefix("/v1/models/"))
    return subscription(state, caller) if path.endswith("/subscription") else usage(state, caller)


def models(state: State, caller: Caller) -> list[str]:
    """The models a key can really use: its group's, within its own list; the catalog's first."""
    names = [name for name in state.snapshot.group_models.get(caller.group, ()) if caller.models is None or name in caller.models]
    return sorted(names, key=lambda name: (catalog.owned_by(name) == "custom", name))


def entry(model: str) -> Json:
    owner = catalog.owned_by(model)
    permission = None if owner == "custom" else [PERMISSION]
    return {
        "id": model, "object": "model", "created": 1626777600, "owned_by": owner, "permission": permission, "root": model,
        "parent": None,
    }  # fmt: skip


def one(state: State, caller: Caller, model: str) -> Json:
    if model not in models(state, caller):
        raise Refused(404, f"The model '{model}' does not exist", "model_not_found", type="invalid_request_error", param="model")
    return entry(model)


def subscription(state: State, caller: Caller) -> Json:
    left, used, until, endless = figures(state, caller)
    amount = UNLIMITED if endless else shown(state, left + used)
    return {
        "object": "billing_subscription", "has_payment_method": True, "soft_limit_usd": amount, "hard_limit_usd": amount,
        "system_hard_limit_usd": amount, "access_until": max(until, 0),
    }  # fmt: skip


def usage(state: State, caller: Caller) -> Json:
    _, used, _, _ = figures(state, caller)
    return {"object": "list", "total_usage": shown(state, used) * 100}


def figures(state: State, caller: Caller) -> tuple[int, int, int, bool]:
    """(left, used, access until, unlimited) of the token or, as the settings say, of its owner."""
    with state.databases.transaction() as session:
        if state.settings.display_token_stat_enabled:
            row = session.get(token.Token, caller.token_id)
            if row is None:
                raise Refused(401, "The API key is not valid.", "invalid_api_key", zh="无效的令牌")
            held = ledger.leased(session, "token", [row.id]).get(row.id, 0)
            return row.remain_quota + held, row.used_quota, row.expired_time, bool(row.unlimited_quota)
        owner = session.get(user.User, caller.user_id)
        return ledger.balance(session, caller.user_id), owner.used_quota if owner is not None else 0, 0, False


def shown(state: State, quota: int) -> float:
    return quota / state.settings.quota_per_unit if state.settings.display_in_currency_enabled else quota
