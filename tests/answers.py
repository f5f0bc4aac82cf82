"""What the management API answers, to the last key: shapes that answers are held against."""

from typing import Any

# A shape is a type (an answer has exactly it; float also takes a whole number), a value it equals, a tuple of shapes of which
# one fits, a dict with exactly these keys, [shape] for a list that is not empty, or AnyOf.
Shape = Any
OR_NULL = type(None)

USER: Shape = {
    "id": int, "username": str, "password": "", "display_name": str, "role": int, "status": int, "email": str, "github_id": str,
    "wechat_id": str, "lark_id": str, "oidc_id": str, "verification_code": "", "quota": int, "used_quota": int,
    "request_count": int, "group": str, "aff_code": str, "inviter_id": int,
}  # fmt: skip
NOBODY: Shape = {name: {str: "", int: 0}.get(kind, kind) for name, kind in USER.items()}
SIGNED_IN: Shape = NOBODY | {"id": int, "username": str, "display_name": str, "role": int, "status": 1}
MANAGED: Shape = NOBODY | {"role": int, "status": int}

TOKEN: Shape = {
    "id": int, "user_id": int, "key": str, "status": int, "name": str, "created_time": int, "accessed_time": int,
    "expired_time": int, "remain_quota": int, "unlimited_quota": bool, "used_quota": int, "models": (str, OR_NULL),
    "subnet": (str, OR_NULL), "requests_per_minute": int, "tokens_per_minute": int, "concurrency": int,
}  # fmt: skip

CHANNEL: Shape = {
    "id": int, "type": int, "key": "", "status": int, "name": str, "weight": (int, OR_NULL), "created_time": int,
    "test_time": int, "response_time": int, "base_url": (str, OR_NULL), "other": (str, OR_NULL), "balance": float,
    "balance_updated_time": int, "models": str, "group": str, "used_quota": int, "model_mapping": (str, OR_NULL),
    "priority": (int, OR_NULL), "config": str, "system_prompt": (str, OR_NULL), "tag": str, "remark": str,
    "balance_currency": str, "status_reason": str, "test_model": str, "parameters": str, "status_time": int,
}  # fmt: skip

REDEMPTION: Shape = {
    "id": int, "user_id": int, "key": str, "status": int, "name": str, "quota": int, "created_time": int, "redeemed_time": int,
    "count": 0, "redeemed_by": int, "expired_time": int,
}  # fmt: skip

LOG: Shape = {
    "id": int, "user_id": int, "created_at": int, "type": int, "content": str, "username": str, "token_name": str,
    "model_name": str, "quota": int, "prompt_tokens": int, "completion_tokens": int, "channel": int, "request_id": str,
    "elapsed_time": int, "is_stream": bool, "system_prompt_reset": bool, "detail": (dict, OR_NULL),
}  # fmt: skip
OWN_LOG: Shape = LOG | {"id": 0}

STATUS: Shape = {
    "version": str, "start_time": int, "email_verification": bool, "github_oauth": bool, "github_client_id": str,
    "lark_client_id": str, "system_name": str, "logo": str, "footer_html": str, "wechat_qrcode": str, "wechat_login": bool,
    "server_address": str, "turnstile_check": bool, "turnstile_site_key": str, "top_up_link": str, "chat_link": str,
    "quota_per_unit": float, "display_in_currency": bool, "oidc": bool, "oidc_client_id": str, "oidc_well_known": str,
    "oidc_authorization_endpoint": str, "oidc_token_endpoint": str, "oidc_userinfo_endpoint": str, "password_login": bool,
    "password_register": bool, "register": bool,
}  # fmt: skip

DAY: Shape = {"Day": str, "ModelName": str, "RequestCount": int, "Quota": int, "PromptTokens": int, "CompletionTokens": int}
SUMS: Shape = {"requests": int, "quota": int, "prompt_tokens": int, "completion_tokens": int}
USAGE: Shape = {"total": SUMS, "days": [{"day": str, "model": str} | SUMS]}
RUN: Shape = {
    "id": int, "name": str, "worker": str, "state": str, "started_at": int, "ended_at": (int, OR_NULL),
    "alive_at": (int, OR_NULL), "error": (str, OR_NULL), "progress": dict,
}  # fmt: skip
JOBS: Shape = {"jobs": [{"name": str, "title": str, "period": int, "next_run": int}], "runs": [RUN]}
AUDIT: Shape = {
    "id": int, "created_at": int, "actor_id": int, "actor_name": str, "action": str, "noun": str, "noun_id": str, "ip": str,
    "difference": dict,
}  # fmt: skip
MODEL: Shape = {
    "id": str, "object": "model", "created": 1626777600, "owned_by": str, "permission": ([dict], OR_NULL), "root": str,
    "parent": None,
}  # fmt: skip


def misfit(value: Any, shape: Shape, where: str = "answer") -> str:
    """What is wrong with a value, "" when it fits."""
    if isinstance(shape, tuple):
        found = [misfit(value, each, where) for each in shape]
        return "" if "" in found else found[0]
    if isinstance(shape, type):
        fits = type(value) is shape or (shape is float and type(value) is int)
        return "" if fits else f"{where} is {value!r}, not of type {shape.__name__}"
    if isinstance(shape, list):
        if not isinstance(value, list) or not value:
            return f"{where} is {value!r}, not a list with something in it"
        return next((said for at, each in enumerate(value) if (said := misfit(each, shape[0], f"{where}[{at}]"))), "")
    if isinstance(shape, dict):
        if not isinstance(value, dict) or set(value) != set(shape):
            odd = set(value) ^ set(shape) if isinstance(value, dict) else value
            return f"{where} has other keys: {odd!r}"
        return next((said for name in shape if (said := misfit(value[name], shape[name], f"{where}.{name}"))), "")
    return "" if value == shape and type(value) is type(shape) else f"{where} is {value!r}, not {shape!r}"
