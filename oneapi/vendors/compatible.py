"""One row per vendor that speaks OpenAI's protocol, with what it does differently as columns."""

from collections.abc import Mapping

from oneapi.fields import Field
from oneapi.vendors import balances, openai, quirks
from oneapi.vendors.contract import Protocol, Vendor, bearer
from oneapi.vendors.quirks import adapted, cached, reasoning_counted, reasoning_name, reshaped, system_role
from oneapi.wire import Call, Request

OLD_LIMIT = {"max_completion_tokens": "max_tokens"}


def only(*kinds: str) -> Mapping[str, Protocol]:
    """OpenAI's own protocol for these kinds of call and no others."""
    return dict.fromkeys(kinds, openai.OPENAI)


def at(prefix: str, *kinds: str) -> Mapping[str, str]:
    """OpenAI's paths with another prefix in the place of /v1."""
    return {kind: prefix + openai.PATHS[kind].removeprefix("/v1") for kind in kinds}


def with_chat(chat: Protocol, kinds: Mapping[str, Protocol] = openai.PROTOCOLS) -> Mapping[str, Protocol]:
    """The kinds as they are, except that chat has its quirks."""
    return {**kinds, "chat": chat}


def thinks_only_streamed(body: quirks.Json, call: Call) -> quirks.Json:
    """Open Qwen3 models think unless told not to, and then refuse to answer in one piece.

    https://help.aliyun.com/en/model-studio/deep-thinking
    """
    hybrid = call.model.startswith("qwen3-") and call.model.endswith("b") and "coder" not in call.model
    return body | {"enable_thinking": False} if hybrid and not call.streaming and "enable_thinking" not in body else body


def appid(request: Request, call: Call) -> Request:
    """Baidu tells applications of one key apart by a header."""
    if call.config.get("appid"):
        request.headers["appid"] = call.config["appid"]
    return bearer(request, call)


GROQ = adapted(quirks.usage_from("x_groq", "usage"), reasoning_name, body=quirks.reasoning_back)
# The row names us by title and localhost, as https://openrouter.ai/docs/app-attribution wants it of apps without a site.
OPENROUTER = adapted(reasoning_name)
FASTGPT = adapted(names=("", "answer", "fastAnswer"))
MOONSHOT = adapted(quirks.usage_in_choice, cached("cached_tokens"), body=reshaped(system_role, quirks.at_most("temperature", 1)))
DEEPSEEK = adapted(cached("prompt_cache_hit_tokens"), body=system_role)
STEPFUN = adapted(cached("cached_tokens"), reasoning_name, body=system_role)
TOGETHER = adapted(reasoning_name)
XAI = adapted(reasoning_counted)
BAILIAN = adapted(body=thinks_only_streamed)
SILICONFLOW_IMAGES = adapted(quirks.image_list, body=quirks.image_body)

OPENAI_LIKE = ("chat", "completions", "embeddings")
QIANFAN = ("chat", "embeddings", "images", "image_edits", "rerank")

VENDORS = (
    Vendor(
        1, "openai", "OpenAI", "https://api.openai.com", balance=balances.DASHBOARD, model_list=balances.MODELS,
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
        8, "custom", "Custom", balance=balances.DASHBOARD, model_list=balances.MODELS, owned_by="openai", needs_base_url=True,
    ),
    Vendor(9, "ails", "AI.LS", "https://api.caipacity.com", model_list=balances.MODELS, owned_by="openai"),
    Vendor(10, "aiproxy", "AI Proxy", "https://api.aiproxy.io", balance=balances.AIPROXY, model_list=balances.MODELS,
           owned_by="openai"),
    Vendor(12, "api2gpt", "API2GPT", "https://api.api2gpt.com", balance=balances.API2GPT, model_list=balances.MODELS,
           owned_by="openai"),
    Vendor(13, "aigc2d", "AIGC2D", "https://api.aigc2d.com", balance=balances.AIGC2D, model_list=balances.MODELS,
           owned_by="openai"),
    Vendor(
        19, "ai360", "360 AI", "https://ai.360.cn", rename=OLD_LIMIT, model_list=balances.MODELS, owned_by="360",
        documents="https://ai.360.com/open/docs",
    ),
    Vendor(
        20, "openrouter", "OpenRouter", "https://openrouter.ai/api", with_chat(OPENROUTER),
        headers={"HTTP-Referer": "http://localhost:3000", "X-Title": "One API"},
        balance=balances.OPENROUTER, model_list=balances.MODELS, owned_by="openrouter",
        documents="https://openrouter.ai/docs/api-reference/overview",
    ),
    Vendor(
        22, "fastgpt", "FastGPT knowledge base", "https://fastgpt.run/api/openapi", with_chat(FASTGPT),
        key_label="API key and app id (APIKey-AppId)", documents="https://doc.fastgpt.io/docs/introduction/development/openapi/chat",
    ),
    Vendor(
        25, "moonshot", "Moonshot AI", "https://api.moonshot.cn", with_chat(MOONSHOT), rename=OLD_LIMIT,
        balance=balances.MOONSHOT, model_list=balances.MODELS, owned_by="moonshot",
        documents="https://platform.moonshot.cn/docs/api/chat",
    ),
    Vendor(
        26, "baichuan", "Baichuan", "https://api.baichuan-ai.com", rename=OLD_LIMIT, owned_by="baichuan",
        documents="https://platform.baichuan-ai.com/docs/api",
    ),
    Vendor(
        29, "groq", "Groq", "https://api.groq.com/openai", with_chat(GROQ), drop=("logit_bias", "logprobs", "top_logprobs"),
        model_list=balances.MODELS, owned_by="groq", documents="https://console.groq.com/docs/openai",
    ),
    Vendor(
        31, "lingyiwanwu", "01.AI", "https://api.lingyiwanwu.com", rename=OLD_LIMIT, model_list=balances.MODELS,
        owned_by="lingyiwanwu", documents="https://platform.lingyiwanwu.com/docs/api-reference",
    ),
    Vendor(
        32, "stepfun", "StepFun", "https://api.stepfun.com", with_chat(STEPFUN), rename=OLD_LIMIT, balance=balances.STEPFUN,
        model_list=balances.MODELS, owned_by="stepfun", documents="https://platform.stepfun.com/docs/api-reference/chat",
    ),
    Vendor(
        36, "deepseek", "DeepSeek", "https://api.deepseek.com", with_chat(DEEPSEEK), rename=OLD_LIMIT,
        balance=balances.DEEPSEEK, model_list=balances.MODELS, owned_by="deepseek", documents="https://api-docs.deepseek.com/",
    ),
    Vendor(
        39, "together", "Together AI", "https://api.together.xyz", with_chat(TOGETHER), rename=OLD_LIMIT,
        model_list=balances.MODELS, owned_by="together.ai", documents="https://docs.together.ai/reference/chat-completions-1",
    ),
    Vendor(
        40, "doubao", "Volcengine Ark (Doubao)", "https://ark.cn-beijing.volces.com", only("chat", "embeddings", "images"),
        at("/api/v3", "chat", "embeddings", "images"), model_list=balances.models("/api/v3/models"), owned_by="doubao",
        documents="https://www.volcengine.com/docs/82379/1298454",
    ),
    Vendor(
        41, "novita", "Novita AI", "https://api.novita.ai/v3/openai", only(*OPENAI_LIKE), strip_v1=True, rename=OLD_LIMIT,
        balance=balances.NOVITA, model_list=balances.MODELS, owned_by="novita",
        documents="https://novita.ai/docs/api-reference/model-apis-llm-create-chat-completion",
    ),
    Vendor(
        44, "siliconflow", "SiliconFlow", "https://api.siliconflow.cn", {**openai.PROTOCOLS, "images": SILICONFLOW_IMAGES},
        rename=OLD_LIMIT, balance=balances.SILICONFLOW, model_list=balances.MODELS, owned_by="siliconflow",
        documents="https://docs.siliconflow.cn/cn/api-reference/chat-completions/chat-completions",
    ),
    Vendor(
        45, "xai", "xAI", "https://api.x.ai", with_chat(XAI), drop=("quality", "size", "style", "logit_bias"),
        model_list=balances.MODELS, owned_by="xai", documents="https://docs.x.ai/docs/api-reference",
    ),
    Vendor(
        47, "baidu-v2", "Baidu Qianfan v2", "https://qianfan.baidubce.com", only(*QIANFAN), at("/v2", *QIANFAN), sign=appid,
        fields=(Field("appid", str, "", "Application id", "Optional: usage is then counted for this application of the key."),),
        key_label="API key (bce-v3/ALTAK-…)", model_list=balances.models("/v2/models"), owned_by="baiduv2",
        documents="https://cloud.baidu.com/doc/qianfan-api/s/3m9b5lqft",
    ),
    Vendor(
        49, "ali-bailian", "Alibaba Model Studio (Bailian)", "https://dashscope.aliyuncs.com",
        with_chat(BAILIAN, only(*OPENAI_LIKE)), at("/compatible-mode/v1", *OPENAI_LIKE), rename=OLD_LIMIT,
        model_list=balances.models("/compatible-mode/v1/models"), owned_by="alibailian", documents="https://help.aliyun.com/zh/model-studio/qwen-api-reference",
    ),
    Vendor(
        50, "openai-compatible", "OpenAI compatible", strip_v1=True, balance=balances.DASHBOARD, model_list=balances.MODELS,
        owned_by="openai", needs_base_url=True,
    ),
)  # fmt: skip
