"""What is left on an account and which models a key may use, as OpenAI's imitators tell it.

`parse` wants every answer, failed ones too: one vendor's refusal means that another question is the right one.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from oneapi.vendors.contract import Balance, ModelList, failure
from oneapi.vendors.openai import address
from oneapi.wire import Call, Reply, Request, VendorError

Amount = Callable[[Any, Call], tuple[float, str]]


def place(call: Call, path: str) -> str:
    """A path beside the channel's own, wherever its base URL points."""
    base = call.base_url if path.startswith("/v1/") else call.base_url.removesuffix("/v1")
    return address(base, path, call.vendor is not None and call.vendor.strip_v1)


def host(call: Call) -> str:
    return urlsplit(call.base_url).hostname or ""


def read(reply: Reply, call: Call) -> Any:
    """The decoded answer; raises the vendor's error."""
    if reply.status >= 400:
        raise failure(reply, call)
    return reply.json()


def money(value: Any, currency: str, scale: float = 1) -> tuple[float, str]:
    """A number, or the text of one, as an amount."""
    amount = float(value) * scale
    if not math.isfinite(amount):
        raise ValueError(f"not an amount: {value!r}")
    return amount, currency


def asking(path: str, amount: Amount) -> Balance:
    """One GET with the channel's key."""
    return Balance(lambda call: Request(place(call, path), method="GET"), lambda reply, call: amount(read(reply, call), call))


def field(*path: str, currency: str = "USD", scale: float = 1) -> Amount:
    """The amount is one field of the answer."""

    def amount(answer: Any, call: Call) -> tuple[float, str]:
        for key in path:
            answer = answer[key]
        return money(answer, currency, scale)

    return amount


# OpenAI's old dashboard, which many gateways still imitate: first the limit, then what was used of it.


def _subscription(call: Call) -> Request:
    return Request(place(call, "/v1/dashboard/billing/subscription"), method="GET")


def _dashboard(reply: Reply, call: Call) -> tuple[float, str] | Request:
    answer = read(reply, call)
    if "limit" in call.memo:
        return money(call.memo["limit"] - float(answer["total_usage"]) / 100, "USD")
    call.memo["limit"] = float(answer["hard_limit_usd"])
    today = datetime.fromtimestamp(call.now, UTC).date()
    start = today.replace(day=1) if answer.get("has_payment_method") else today - timedelta(days=100)
    return Request(f"{place(call, '/v1/dashboard/billing/usage')}?start_date={start}&end_date={today}", method="GET")


DASHBOARD = Balance(_subscription, _dashboard)


def _credits(reply: Reply, call: Call) -> tuple[float, str] | Request:
    """Only a management key may ask for the account; any key may ask for its own limit."""
    if reply.status in (401, 403) and "key" not in call.memo:
        call.memo["key"] = True
        return Request(place(call, "/v1/key"), method="GET")
    answer = read(reply, call)["data"]
    if "key" not in call.memo:
        return money(answer["total_credits"] - answer["total_usage"], "USD")
    if answer["limit_remaining"] is None:
        raise VendorError("auth", "This key has no limit of its own; the account's credits need a management key.", status=200)
    return money(answer["limit_remaining"], "USD")


OPENROUTER = Balance(lambda call: Request(place(call, "/v1/credits"), method="GET"), _credits)


def _deepseek(answer: Any, call: Call) -> tuple[float, str]:
    """An account holds yuan, dollars or both: the first that has money in it counts."""
    rows = answer["balance_infos"]
    row = next((row for row in rows if float(row["total_balance"]) > 0), rows[0])
    return money(row["total_balance"], row["currency"])


def _siliconflow(answer: Any, call: Call) -> tuple[float, str]:
    if answer["code"] != 20000:
        raise VendorError("server", answer.get("message") or f"error {answer['code']}", status=200, code=str(answer["code"]))
    return money(answer["data"]["totalBalance"], "CNY" if host(call).endswith(".cn") else "USD")


def _moonshot(answer: Any, call: Call) -> tuple[float, str]:
    return money(answer["data"]["available_balance"], "CNY" if host(call).endswith(".cn") else "USD")


def _openai_sb(answer: Any, call: Call) -> tuple[float, str]:
    """Counted in ten-thousandths of a yuan."""
    if not answer.get("data"):
        raise VendorError("auth", answer.get("msg") or "The vendor does not say how much is left.", status=200)
    return money(answer["data"]["credit"], "CNY", 1 / 10000)


def _aiproxy(reply: Reply, call: Call) -> tuple[float, str]:
    """Points, which are no currency."""
    answer = read(reply, call)
    if not answer.get("success"):
        raise VendorError("auth", answer.get("message") or "The vendor does not say how much is left.", status=200)
    return money(answer["data"]["totalPoints"], "")


CLOSEAI = asking("/dashboard/billing/credit_grants", field("total_available", currency="CNY"))
API2GPT = asking("/dashboard/billing/credit_grants", field("total_remaining", currency="CNY"))
AIGC2D = asking("/dashboard/billing/credit_grants", field("total_available", currency=""))
SILICONFLOW = asking("/v1/user/info", _siliconflow)
DEEPSEEK = asking("/user/balance", _deepseek)  # https://api-docs.deepseek.com/api/get-user-balance
MOONSHOT = asking("/v1/users/me/balance", _moonshot)  # https://platform.moonshot.cn/docs/api/balance
STEPFUN = asking("/v1/accounts", field("balance", currency="CNY"))
OPENAI_SB = Balance(
    lambda call: Request(place(call, f"/sb-api/user/status?api_key={quote(call.key, safe='')}"), method="GET"),
    lambda reply, call: _openai_sb(read(reply, call), call),
)


def _overview(call: Call) -> Request:
    """The site tells it, which stands beside the API's address."""
    site = call.base_url.removesuffix("/v1").replace("://api.", "://", 1)
    return Request(f"{site}/api/report/getUserOverview", headers={"Api-Key": call.key}, method="GET")


AIPROXY = Balance(_overview, _aiproxy)


def _novita(call: Call) -> Request:
    """Beside the API, not under it. https://novita.ai/docs/api-reference/basic-get-user-balance.md"""
    return Request(f"{call.base_url.partition('/v3/')[0]}/openapi/v1/billing/balance/detail", method="GET")


NOVITA = Balance(_novita, lambda reply, call: field("availableBalance", scale=1 / 10000)(read(reply, call), call))


def _names(reply: Reply, call: Call) -> list[str]:
    answer = read(reply, call)
    rows = answer if isinstance(answer, list) else answer["data"]
    return [row["id"].removeprefix("models/") for row in rows]


def models(path: str = "/v1/models", headers: Mapping[str, str] | None = None) -> ModelList:
    """The models of a key, from one page that holds them all."""
    return ModelList(lambda call: Request(place(call, path), headers=dict(headers or {}), method="GET"), _names)


MODELS = models()
