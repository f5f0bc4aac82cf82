"""The models a key may use and what is left on an account, as vendors with protocols of their own tell it."""

import json
from typing import Any

import pytest

from oneapi import vendors
from oneapi.vendors import balances
from oneapi.vendors.contract import Vendor
from oneapi.wire import Call, Reply, Request, VendorError


def call_of(row: Vendor, key: str = "k") -> Call:
    return Call("chat", {}, "", row.base_url, key, config={"user_id": "acc1"}, vendor=row)


def reply(body: Any, status: int = 200) -> Reply:
    return Reply(status, {}, json.dumps(body).encode())


def listed(slug: str, *pages: Any) -> tuple[list[str], list[str]]:
    """The names, and the addresses that were asked."""
    row = vendors.by_slug(slug)
    assert row.model_list is not None
    call = call_of(row)
    request, asked = row.model_list.build(call), []
    for page in pages:
        assert (request.method, request.body) == ("GET", None)
        asked.append(request.url)
        told = vendors.guarded_models(row, reply(page), call)
        if not isinstance(told, Request):
            return told, asked
        request = told
    raise AssertionError("the adapter asks for more pages than there are")


def test_ollama_lists_what_was_pulled() -> None:
    page = {"models": [{"name": "qwen3:8b", "model": "qwen3:8b"}, {"name": "llama3:latest"}]}
    assert listed("ollama", page) == (["qwen3:8b", "llama3:latest"], ["http://localhost:11434/api/tags"])


def test_cohere_lists_page_by_page() -> None:
    names, asked = listed("cohere", {"models": [{"name": "a"}], "next_page_token": "t"}, {"models": [{"name": "b"}]})
    assert names == ["a", "b"]
    assert [url.partition("?")[2] for url in asked] == ["page_size=1000", "page_size=1000&page_token=t"]


def test_cloudflare_lists_page_by_page() -> None:
    full = {"success": True, "errors": [], "result": [{"name": f"@cf/m{n}"} for n in range(100)]}
    names, asked = listed("cloudflare", full, {"success": True, "errors": [], "result": [{"name": "@cf/last"}]})
    assert (len(names), names[-1]) == (101, "@cf/last")
    assert asked[1] == "https://api.cloudflare.com/client/v4/accounts/acc1/ai/models/search?per_page=100&page=2"


def test_deepl_lists_its_target_languages_as_models() -> None:
    names, asked = listed("deepl", [{"language": "EN-GB", "name": "English"}, {"language": "ZH-HANS", "name": "Chinese"}])
    assert (names, asked) == (["deepl-EN-GB", "deepl-ZH-HANS"], ["https://api.deepl.com/v2/languages?type=target"])


def test_replicate_lists_the_collections_it_can_ask() -> None:
    names, asked = listed(
        "replicate",
        {"models": [{"owner": "meta", "name": "llama"}]},
        {"models": [{"owner": "black-forest-labs", "name": "flux-dev"}]},
    )
    assert names == ["meta/llama", "black-forest-labs/flux-dev"]
    assert [url.rpartition("/")[2] for url in asked] == ["language-models", "text-to-image"]


def test_zhipu_lists_wherever_the_base_url_points() -> None:
    names, asked = listed("zhipu", {"object": "list", "data": [{"id": "glm-4.6"}]})
    assert (names, asked) == (["glm-4.6"], ["https://open.bigmodel.cn/api/paas/v4/models"])
    row = vendors.by_slug("zhipu")
    assert row.model_list
    for base in ("https://api.z.ai/api", "https://api.z.ai/api/paas/v4"):
        call = Call("chat", {}, "", base, "k", vendor=row)
        assert row.model_list.build(call).url == "https://api.z.ai/api/paas/v4/models"


def test_coze_lists_the_published_bots_of_every_workspace() -> None:
    def page(total: int, *ids: str) -> dict[str, Any]:
        return {"code": 0, "msg": "", "data": {"items": [{"id": id, "name": "n"} for id in ids], "total": total}}

    spaces = {"code": 0, "msg": "", "data": {"total_count": 2, "workspaces": [{"id": "w1"}, {"id": "w2"}]}}
    full = page(51, *(str(n) for n in range(50)))
    names, asked = listed("coze", spaces, full, page(51, "50"), page(1, "x"))
    assert (len(names), names[0], names[-2:]) == (52, "bot-0", ["bot-50", "bot-x"])
    assert asked[0] == "https://api.coze.com/v1/workspaces?page_num=1&page_size=50"
    where = "https://api.coze.com/v1/bots?workspace_id=w{}&page_size=50&page_index={}&publish_status=published_online"
    assert asked[1:] == [where.format(1, 1), where.format(1, 2), where.format(2, 1)]
    assert listed("coze", {"code": 0, "data": {"workspaces": []}})[0] == []


def test_a_refusal_under_http_200_is_an_error_of_a_list_too() -> None:
    with pytest.raises(VendorError) as caught:
        listed("coze", {"code": 4100, "msg": "authentication is invalid"})
    assert caught.value.kind == "auth"


# Vendors whose lists have a form of their own, with a test in this file, test_model_lists or test_balances (Azure).
OWN = {
    "azure", "anthropic", "gemini", "ollama", "bedrock", "coze", "cohere", "cloudflare", "deepl", "vertex", "replicate",
}  # fmt: skip


def test_every_list_of_a_form_of_its_own_has_a_test() -> None:
    rows = [row for vendor in vendors.REGISTRY.values() for row in (vendor, vendor.compatible) if row and row.model_list]
    own = [row.slug for row in rows if row.model_list and row.model_list.parse is not balances.MODELS.parse]
    assert {slug.removesuffix("-openai").removesuffix("-compatible") for slug in own} == OWN


REFUSING = [
    "coze", "zhipu", "ollama", "cohere", "cloudflare", "deepl", "replicate", "cohere-openai", "ollama-openai",
]  # fmt: skip


@pytest.mark.parametrize("slug", REFUSING)
def test_a_refused_list_is_an_error(slug: str) -> None:
    row = next(row for one in vendors.REGISTRY.values() for row in (one, one.compatible) if row and row.slug == slug)
    with pytest.raises(VendorError) as caught:
        vendors.guarded_models(row, reply({"message": "no"}, 401), call_of(row))
    assert caught.value.kind == "auth"


@pytest.mark.parametrize(("key", "host"), [("k:fx", "https://api-free.deepl.com"), ("k", "https://api.deepl.com")])
def test_deepl_tells_the_characters_that_are_left(key: str, host: str) -> None:
    row = vendors.by_slug("deepl")
    assert row.balance is not None
    assert row.balance.build(call_of(row, key)).url == host + "/v2/usage"
    assert vendors.guarded_balance(row, reply({"character_count": 10, "character_limit": 500000}), call_of(row)) == (499990, "")
    with pytest.raises(VendorError) as caught:
        vendors.guarded_balance(row, reply({"message": "no"}, 456), call_of(row))
    assert caught.value.kind == "quota"
