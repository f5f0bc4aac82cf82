"""One row per vendor that speaks OpenAI's protocol, with what it does differently as columns."""

from collections.abc import Mapping
from dataclasses import replace

from oneapi.vendors import balances, fees, openai, quirks
from oneapi.vendors.contract import Protocol, Vendor
from oneapi.vendors.quirks import adapted, cached, json_in_words, reasoning_name, reshaped, system_role
from oneapi.wire import Call, Request

OLD_LIMIT = {"max_completion_tokens": "max_tokens"}


def with_chat(chat: Protocol, kinds: Mapping[str, Protocol] = openai.PROTOCOLS) -> Mapping[str, Protocol]:
    """The kinds as they are, except that chat has its quirks."""
    return {**kinds, "chat": chat}


def beside(request: Request, call: Call) -> Request:
    """Novita ranks at the newer address only. https://novita.ai/docs/api-reference/model-apis-llm-create-rerank"""
    host = call.base_url.partition("/v3/")[0].partition("/openai")[0]
    return replace(request, url=f"{host}/openai/v1/rerank")


def beta(request: Request, call: Call) -> Request:
    """DeepSeek completes text between two others at this address only. https://api-docs.deepseek.com/guides/fim_completion"""
    return replace(request, url=call.base_url.removesuffix("/v1").removesuffix("/beta") + "/beta/completions")


# https://platform.moonshot.cn/docs/api/errors: an empty account is told under 429.
MOONSHOT_CODES = {
    "exceeded_current_quota_error": "quota", "rate_limit_reached_error": "rate_limited", "resource_not_found_error": "no_model",
    "invalid_authentication_error": "auth", "incorrect_api_key_error": "auth", "permission_denied_error": "auth",
}  # fmt: skip
# https://novita.ai/docs/guides/error, told as `reason`
NOVITA_CODES = {
    "INVALID_API_KEY": "auth", "FAILED_TO_AUTH": "auth", "ACCESS_DENY": "auth", "NOT_ENOUGH_BALANCE": "quota",
    "MODEL_NOT_FOUND": "no_model", "model_access_denied": "no_model", "INVALID_REQUEST_BODY": "bad_request",
    "RATE_LIMIT_EXCEEDED": "rate_limited", "TOKEN_LIMIT_EXCEEDED": "rate_limited", "SERVICE_NOT_AVAILABLE": "overloaded",
}  # fmt: skip
# https://github.com/labring/FastGPT/blob/main/packages/global/common/error/errorCode.ts
FASTGPT_CODES = {"403": "auth", "510": "quota", "511": "no_model", "514": "auth"}

FASTGPT = adapted(quirks.filled, body=system_role, names=("", "answer", "fastAnswer"), codes=FASTGPT_CODES)
MOONSHOT = adapted(
    quirks.usage_in_choice, cached("cached_tokens"), fees.builtin_search, codes=MOONSHOT_CODES,
    body=reshaped(system_role, quirks.at_most("temperature", 1)),
)  # fmt: skip
DEEPSEEK = adapted(cached("prompt_cache_hit_tokens"), body=reshaped(system_role, json_in_words))
STEPFUN = adapted(cached("cached_tokens"), reasoning_name, body=system_role)
NOVITA = {
    "chat": adapted(body=system_role, codes=NOVITA_CODES), "completions": openai.OPENAI, "embeddings": openai.OPENAI,
    "rerank": adapted(place=beside, codes=NOVITA_CODES),
}  # fmt: skip
PLAIN = adapted(body=system_role)
EXACT = replace(openai.OPENAI, exact=True)
BETA: dict[str, tuple[str, ...]] = {"openai-beta": ()}

VENDORS = (
    Vendor(
        1, "openai", "OpenAI", "https://api.openai.com", dict.fromkeys(openai.PATHS, EXACT), client_headers=BETA,
        balance=balances.DASHBOARD, model_list=balances.MODELS,
        owned_by="openai", documents="https://platform.openai.com/docs/api-reference",
    ),
    Vendor(2, "api2d", "API2D", "https://oa.api2d.net", model_list=balances.MODELS, owned_by="openai"),
    Vendor(
        4, "closeai", "CloseAI", "https://api.closeai-proxy.xyz", balance=balances.CLOSEAI, model_list=balances.MODELS,
        owned_by="openai",
    ),
    Vendor(
        5, "openai-sb", "OpenAI-SB", "https://api.openai-sb.com", balance=balances.OPENAI_SB, model_list=balances.MODELS,
        owned_by="openai",
    ),
    Vendor(6, "openaimax", "OpenAI Max", "https://api.openaimax.com", model_list=balances.MODELS, owned_by="openai"),
    Vendor(7, "ohmygpt", "OhMyGPT", "https://api.ohmygpt.com", model_list=balances.MODELS, owned_by="openai"),
    Vendor(
        8, "custom", "Custom",
        client_headers=BETA, balance=balances.DASHBOARD, model_list=balances.MODELS, owned_by="openai", needs_base_url=True,
        self_hosted="private",
    ),
    Vendor(9, "ails", "AI.LS", "https://api.caipacity.com", model_list=balances.MODELS, owned_by="openai"),
    Vendor(10, "aiproxy", "AI Proxy", "https://api.aiproxy.io", balance=balances.AIPROXY, model_list=balances.MODELS,
           owned_by="openai"),
    Vendor(12, "api2gpt", "API2GPT", "https://api.api2gpt.com", balance=balances.API2GPT, model_list=balances.MODELS,
           owned_by="openai"),
    Vendor(13, "aigc2d", "AIGC2D", "https://api.aigc2d.com", balance=balances.AIGC2D, model_list=balances.MODELS,
           owned_by="openai"),
    Vendor(
        19, "ai360", "360 AI", "https://ai.360.cn", with_chat(PLAIN), rename=OLD_LIMIT, offers=("chat", "embeddings"),
        model_list=balances.MODELS, owned_by="360",
        documents="https://ai.360.com/open/docs",
    ),
    Vendor(
        22, "fastgpt", "FastGPT knowledge base", "https://fastgpt.run/api/openapi", with_chat(FASTGPT), offers=("chat",),
        key_label="API key and app id (APIKey-AppId)", self_hosted="service",
        documents="https://doc.fastgpt.io/docs/introduction/development/openapi/chat",
    ),
    Vendor(
        25, "moonshot", "Moonshot AI", "https://api.moonshot.cn", with_chat(MOONSHOT), rename=OLD_LIMIT, offers=("chat",),
        balance=balances.MOONSHOT, model_list=balances.MODELS, owned_by="moonshot",
        documents="https://platform.moonshot.cn/docs/api/chat",
    ),
    Vendor(
        26, "baichuan", "Baichuan", "https://api.baichuan-ai.com", with_chat(PLAIN), rename=OLD_LIMIT, owned_by="baichuan",
        offers=("chat", "embeddings"),
        documents="https://platform.baichuan-ai.com/docs/api",
    ),
    Vendor(
        31, "lingyiwanwu", "01.AI", "https://api.lingyiwanwu.com", with_chat(PLAIN), rename=OLD_LIMIT, offers=("chat",),
        model_list=balances.MODELS, owned_by="lingyiwanwu", documents="https://platform.lingyiwanwu.com/docs/api-reference",
    ),
    Vendor(
        32, "stepfun", "StepFun", "https://api.stepfun.com", with_chat(STEPFUN), rename=OLD_LIMIT, balance=balances.STEPFUN,
        offers=("chat", "images", "image_edits", "speech", "transcriptions"), voice="cixingnansheng",
        model_list=balances.MODELS, owned_by="stepfun", documents="https://platform.stepfun.com/docs/api-reference/chat",
    ),
    Vendor(
        36, "deepseek", "DeepSeek", "https://api.deepseek.com", {**with_chat(DEEPSEEK), "completions": adapted(place=beta)},
        rename=OLD_LIMIT, offers=("chat", "completions"),
        balance=balances.DEEPSEEK, model_list=balances.MODELS, owned_by="deepseek", documents="https://api-docs.deepseek.com/",
    ),
    Vendor(
        41, "novita", "Novita AI", "https://api.novita.ai/v3/openai", NOVITA, strip_v1=True, rename=OLD_LIMIT,
        balance=balances.NOVITA, model_list=balances.MODELS, owned_by="novita",
        documents="https://novita.ai/docs/api-reference/model-apis-llm-create-chat-completion",
    ),
    Vendor(
        50, "openai-compatible", "OpenAI compatible",
        client_headers=BETA, protocols=with_chat(PLAIN), strip_v1=True, balance=balances.DASHBOARD,
        model_list=balances.MODELS, owned_by="openai", needs_base_url=True, self_hosted="private",
    ),
)  # fmt: skip
