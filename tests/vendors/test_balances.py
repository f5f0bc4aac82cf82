"""What is left and which models there are: the vendor is asked in its own place and understood."""

import json
from typing import Any

import pytest

from oneapi import vendors
from oneapi.vendors import balances
from oneapi.vendors.contract import Vendor
from oneapi.wire import Call, Reply, Request, VendorError

NOON = 1700049600.0  # 2023-11-15


def call_of(slug: str, base_url: str = "") -> Call:
    row = vendors.by_slug(slug)
    return Call("chat", {}, "", base_url or row.base_url, "sk-test", now=NOON, vendor=row)


def reply(body: Any, status: int = 200) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(body).encode())


def balance(call: Call, *replies: Reply) -> tuple[list[Request], Any]:
    """The requests that were made and the amount in the end."""
    assert call.vendor.balance
    requests = [call.vendor.balance.build(call)]
    for answer in replies:
        found = vendors.guarded_balance(call.vendor, answer, call)
        if not isinstance(found, Request):
            return requests, found
        requests.append(found)
    return requests, None


NOTHING = {"currency": "CNY", "total_balance": "0.00"}
CASES = [
    ("closeai", "", {"total_available": 7.5}, "https://api.closeai-proxy.xyz/dashboard/billing/credit_grants", (7.5, "CNY")),
    ("openai-sb", "", {"data": {"credit": "12345"}},
     "https://api.openai-sb.com/sb-api/user/status?api_key=sk-test", (1.2345, "CNY")),
    ("aiproxy", "", {"success": True, "data": {"totalPoints": 9}}, "https://aiproxy.io/api/report/getUserOverview", (9, "")),
    ("aiproxy", "http://mirror.example", {"success": True, "data": {"totalPoints": 9}},
     "http://mirror.example/api/report/getUserOverview", (9, "")),
    ("api2gpt", "", {"total_remaining": 3}, "https://api.api2gpt.com/dashboard/billing/credit_grants", (3, "CNY")),
    ("aigc2d", "https://m.example", {"total_available": 4}, "https://m.example/dashboard/billing/credit_grants", (4, "")),
    ("siliconflow", "", {"code": 20000, "data": {"totalBalance": "88.5"}},
     "https://api.siliconflow.cn/v1/user/info", (88.5, "CNY")),
    ("siliconflow", "https://api.siliconflow.com/v1", {"code": 20000, "data": {"totalBalance": "1"}},
     "https://api.siliconflow.com/v1/user/info", (1, "USD")),
    ("deepseek", "", {"balance_infos": [NOTHING, {"currency": "USD", "total_balance": "2.5"}]},
     "https://api.deepseek.com/user/balance", (2.5, "USD")),
    ("deepseek", "https://api.deepseek.com/v1", {"balance_infos": [NOTHING]},
     "https://api.deepseek.com/user/balance", (0, "CNY")),
    ("moonshot", "", {"data": {"available_balance": 49.6}}, "https://api.moonshot.cn/v1/users/me/balance", (49.6, "CNY")),
    ("moonshot", "https://api.moonshot.ai", {"data": {"available_balance": 5}},
     "https://api.moonshot.ai/v1/users/me/balance", (5, "USD")),
    ("moonshot", "https://api.moonshot.ai/v1", {"data": {"available_balance": 5}},
     "https://api.moonshot.ai/v1/users/me/balance", (5, "USD")),
    ("novita", "", {"availableBalance": "25000"}, "https://api.novita.ai/openapi/v1/billing/balance/detail", (2.5, "USD")),
    ("stepfun", "", {"balance": 1.5}, "https://api.stepfun.com/v1/accounts", (1.5, "CNY")),
    ("openrouter", "", {"data": {"total_credits": 10, "total_usage": 2.5}}, "https://openrouter.ai/api/v1/credits", (7.5, "USD")),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "base_url", "answer", "url", "amount"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_a_balance_is_asked_for_and_read(slug: str, base_url: str, answer: Any, url: str, amount: tuple[float, str]) -> None:
    requests, found = balance(call_of(slug, base_url), reply(answer))
    assert [(request.method, request.url) for request in requests] == [("GET", url)]
    assert (pytest.approx(found[0]), found[1]) == amount


def test_every_vendor_that_tells_a_balance_is_asked_here() -> None:
    """A new row with a balance needs a case above; DeepL's, which counts characters, is in test_lists."""
    asked = {case[0] for case in CASES} | {place[0] for place in DASHBOARDS} | {"deepl"}
    assert {row.slug for row in vendors.REGISTRY.values() if row.balance} == asked


def test_a_key_in_an_address_is_quoted() -> None:
    call = call_of("openai-sb")
    call.key = "sb-a&b=c/d"
    assert balance(call)[0][0].url == "https://api.openai-sb.com/sb-api/user/status?api_key=sb-a%26b%3Dc%2Fd"


def test_points_are_asked_for_with_the_key_in_a_header_of_their_own() -> None:
    requests, _ = balance(call_of("aiproxy"))
    assert requests[0].headers == {"Api-Key": "sk-test"}


DASHBOARDS = [
    ("openai", "", "https://api.openai.com/v1/dashboard/billing", True, "2023-11-01"),
    ("custom", "https://host.example", "https://host.example/v1/dashboard/billing", False, "2023-08-07"),
    ("openai-compatible", "https://host.example/v1", "https://host.example/v1/dashboard/billing", False, "2023-08-07"),
]


@pytest.mark.parametrize(("slug", "base_url", "place", "paying", "since"), DASHBOARDS, ids=[d[0] for d in DASHBOARDS])
def test_the_dashboard_is_asked_for_the_limit_and_then_for_what_was_used(
    slug: str, base_url: str, place: str, paying: bool, since: str
) -> None:
    limit, used = reply({"hard_limit_usd": 20, "has_payment_method": paying}), reply({"total_usage": 250})
    requests, found = balance(call_of(slug, base_url), limit, used)
    assert [request.url for request in requests] == [
        f"{place}/subscription",
        f"{place}/usage?start_date={since}&end_date=2023-11-15",
    ]
    assert found == (17.5, "USD")


def test_openrouter_asks_for_the_keys_own_limit_when_the_account_is_not_its_business() -> None:
    refused = reply({"error": {"code": 403, "message": "Only management keys"}}, 403)
    requests, found = balance(call_of("openrouter"), refused, reply({"data": {"limit_remaining": 3.25}}))
    assert [request.url for request in requests] == ["https://openrouter.ai/api/v1/credits", "https://openrouter.ai/api/v1/key"]
    assert found == (3.25, "USD")


REFUSED = [
    ("openai-sb", reply({"data": None, "msg": "no such key"}), "auth"),
    ("aiproxy", reply({"success": False, "message": "no such key"}), "auth"),
    ("siliconflow", reply({"code": 30001, "message": "no such key"}), "server"),
    ("deepseek", reply({"error": {"message": "no such key"}}, 401), "auth"),
    ("deepseek", reply({"balance_infos": []}), "garbled"),
    ("moonshot", reply({"data": {"available_balance": "NaN"}}), "garbled"),
]


@pytest.mark.parametrize(("slug", "answer", "kind"), REFUSED)
def test_a_refused_balance_is_an_error_of_its_kind(slug: str, answer: Reply, kind: str) -> None:
    with pytest.raises(VendorError) as caught:
        balance(call_of(slug), answer)
    assert caught.value.kind == kind
    assert kind == "garbled" or "no such key" in caught.value.message


LISTS = [
    ("openai", "https://api.openai.com/v1/models"),
    ("openai-compatible", "https://host.example/v1/models"),
    ("openrouter", "https://openrouter.ai/api/v1/models"),
    ("doubao", "https://ark.cn-beijing.volces.com/api/v3/models"),
    ("novita", "https://api.novita.ai/v3/openai/models"),
    ("baidu-v2", "https://qianfan.baidubce.com/v2/models"),
    ("ali-bailian", "https://dashscope.aliyuncs.com/compatible-mode/v1/models"),
    ("dashscope", "https://dashscope.aliyuncs.com/compatible-mode/v1/models"),
    ("minimax", "https://api.minimaxi.com/v1/models"),
    ("gemini-openai", "https://generativelanguage.googleapis.com/v1beta/openai/models"),
    ("azure", "https://r1.openai.azure.com/openai/deployments?api-version=2022-12-01"),
]
HOSTS = {"openai-compatible": "https://host.example/v1", "azure": "https://r1.openai.azure.com/openai/v1"}


@pytest.mark.parametrize(("slug", "url"), LISTS, ids=[row[0] for row in LISTS])
def test_models_are_listed_in_the_vendors_place(slug: str, url: str) -> None:
    call = call_of(slug, HOSTS.get(slug, ""))
    assert call.vendor.model_list
    request = call.vendor.model_list.build(call)
    assert (request.method, request.url) == ("GET", url)
    assert vendors.guarded_models(call.vendor, reply({"data": [{"id": "a"}, {"id": "b"}]}), call) == ["a", "b"]


def test_alibabas_models_are_listed_wherever_the_base_url_points() -> None:
    for base in ("https://w.example", "https://w.example/api/v1", "https://w.example/compatible-mode/v1"):
        call = call_of("dashscope", base)
        assert call.vendor.model_list.build(call).url == "https://w.example/compatible-mode/v1/models"


PLAIN = [row for vendor in vendors.REGISTRY.values() for row in (vendor, vendor.compatible) if row and row.model_list]
PLAIN = [row for row in PLAIN if row.model_list and row.model_list.parse is balances.MODELS.parse]


@pytest.mark.parametrize("row", PLAIN, ids=lambda row: f"{row.id}-{row.slug}")
def test_every_list_in_openais_form_is_asked_for_at_the_channels_own_address(row: Vendor) -> None:
    call = Call("chat", {}, "", "https://mirror.example", "sk-test", config={"user_id": "acc"}, now=NOON, vendor=row)
    assert row.model_list
    request = row.model_list.build(call)
    assert request.method == "GET" and request.url.startswith("https://mirror.example/") and request.url.endswith("/models")
    assert vendors.guarded_models(row, reply({"object": "list", "data": [{"id": "a"}]}), call) == ["a"]


def test_names_of_models_come_bare_from_lists_of_any_shape() -> None:
    assert vendors.guarded_models(vendors.by_slug("together"), reply([{"id": "x/y"}]), call_of("together")) == ["x/y"]
    assert vendors.guarded_models(vendors.by_slug("gemini-openai"), reply({"data": [{"id": "models/g"}]}), call_of("openai")) == [
        "g"
    ]


def test_azure_lists_only_deployments_that_stand() -> None:
    rows = [{"id": "a", "status": "succeeded"}, {"id": "b", "status": "failed"}]
    assert vendors.guarded_models(vendors.by_slug("azure"), reply({"data": rows}), call_of("azure", HOSTS["azure"])) == ["a"]


def test_a_vendor_that_tells_nothing_says_so() -> None:
    with pytest.raises(VendorError):
        vendors.guarded_balance(vendors.by_slug("groq"), reply({}), call_of("groq"))
    with pytest.raises(VendorError):
        vendors.guarded_models(vendors.by_slug("xunfei-v2"), reply({}), call_of("xunfei-v2"))
