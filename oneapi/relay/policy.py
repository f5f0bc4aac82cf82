"""What follows from each kind of vendor failure. Pure."""

from dataclasses import dataclass

from oneapi.wire import VendorError


@dataclass(frozen=True, slots=True)
class Policy:
    """`status` is what our client sees. `retry` tries another channel, `rest` cools this one down, `disable` may disable
    it (when the setting allows), `counts` lets it lower the channel's success rate. `show` passes the vendor's text on."""

    status: int
    code: str
    retry: bool = True
    rest: bool = False
    disable: bool = False
    counts: bool = True
    show: bool = True


# The vendor's 401 reaches our client as 502, or clients would think that their own key is bad.
POLICIES = {
    "bad_request": Policy(400, "invalid_request", retry=False, counts=False),
    "content_filter": Policy(400, "content_filter", retry=False, counts=False),
    "too_long": Policy(400, "context_length_exceeded", retry=False, counts=False),
    "no_model": Policy(404, "model_not_found", counts=False),
    "auth": Policy(502, "vendor_auth_failed", disable=True, show=False),
    "quota": Policy(502, "vendor_quota_exhausted", rest=True, disable=True, show=False),
    "rate_limited": Policy(429, "rate_limit_exceeded", rest=True, counts=False),
    "overloaded": Policy(503, "vendor_overloaded", rest=True),
    "server": Policy(502, "vendor_error"),
    "unreachable": Policy(502, "vendor_unreachable"),
    "timeout": Policy(504, "vendor_timeout"),
    "garbled": Policy(502, "vendor_answer_garbled"),
}

# What the client reads where the vendor's own text would speak of the operator's account.
TEXTS = {
    "auth": "The channel's account was refused by the vendor.",
    "quota": "The channel's account has no quota left at the vendor.",
}

# Vendor codes and types that say the account is gone, whatever the status: exact, never a word in a message.
DISABLING_CODES = frozenset({
    "invalid_api_key", "account_deactivated", "insufficient_quota", "billing_not_active", "billing_hard_limit_reached",
    "authentication_error", "permission_error", "organization_restricted", "arrearage", "Arrearage",
})  # fmt: skip


def disables(error: VendorError) -> bool:
    """Whether this failure means that the channel's account cannot work until a person mends it."""
    if error.kind == "auth":
        return error.status == 401 or error.code in DISABLING_CODES or error.type in DISABLING_CODES
    return error.kind == "quota" or error.code in DISABLING_CODES
