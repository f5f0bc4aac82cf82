"""Alibaba's compatible mode (DashScope, Bailian): OpenAI's protocol at the same host, with DashScope's codes and habits."""

from dataclasses import replace

from oneapi.fields import Field
from oneapi.vendors import asks, balances, openai, pieces, quirks
from oneapi.vendors import dashscope_media as media
from oneapi.vendors.batches import batched
from oneapi.vendors.contract import ModelList, Vendor
from oneapi.vendors.quirks import Json
from oneapi.wire import Call, Request

SEARCH = "-internet"


def searching(call: Call) -> tuple[str, bool]:
    """The vendor's name of the model, and whether the client's name asks to search the web."""
    return call.model.removesuffix(SEARCH), call.model.endswith(SEARCH)


def too_thoughtful(model: str, call: Call) -> bool:
    """Open Qwen3 models think unless told not to, and then refuse to answer in one piece.

    https://help.aliyun.com/en/model-studio/deep-thinking
    """
    return model.startswith("qwen3-") and model.endswith("b") and "coder" not in model and not call.streaming


def compatible_body(body: Json, call: Call) -> Json:
    """Web search by a model's name works here too, and thinking is asked for by a switch."""
    model, search = searching(call)
    sent = body | ({"model": model, "enable_search": True} if search else {})
    if sent.get("tool_choice") == "required":  # a call can be demanded only by name
        name = pieces.demanded(body)
        sent |= {"tool_choice": {"type": "function", "function": {"name": name}} if name else "auto"}
    if "enable_thinking" in sent:
        return sent
    if effort := asks.effort(body):
        return sent | {"enable_thinking": effort not in ("none", "minimal")}
    return sent | {"enable_thinking": False} if too_thoughtful(model, call) else sent


def compatible_place(request: Request, call: Call) -> Request:
    """Both modes live at one host, so that the base URL may be that of either."""
    path = openai.PATHS[call.kind].removeprefix("/v1")
    request.headers |= media.headers(call)
    return replace(request, url=f"{media.host(call)}/compatible-mode/v1{path}")


def named(piece: Json, call: Call, memo: Json) -> None:
    """The vendor names the model without our suffix."""
    if "model" in piece and searching(call)[1]:
        piece["model"] = call.asked or call.model


def ask_models(call: Call) -> Request:
    return Request(f"{media.host(call)}/compatible-mode/v1/models", headers=media.headers(call), method="GET")


CHAT = quirks.adapted(
    named, body=quirks.reshaped(quirks.system_role, quirks.said_content, compatible_body),
    place=compatible_place, codes=media.CODES,
)
PLAIN = quirks.adapted(place=compatible_place, codes=media.CODES)
EMBEDDINGS = batched(PLAIN, media.TEXTS, media.TEXTS_OF)
MODELS = ModelList(ask_models, balances.MODELS.parse)
FIELDS = (
    Field("plugin", str, "", "Plugin", "Value of the header X-DashScope-Plugin, for the native protocol."),
    Field("workspace", str, "", "Workspace", "Optional: the workspace that pays, when it is not the default one."),
)
COMPATIBLE = Vendor(
    17, "dashscope", "Alibaba DashScope", "https://dashscope.aliyuncs.com",
    {**media.PROTOCOLS, "chat": CHAT, "completions": PLAIN, "embeddings": EMBEDDINGS},
    rename={"max_completion_tokens": "max_tokens"}, sign=pieces.at_home(), fields=FIELDS,
    model_list=MODELS, owned_by="ali", voice="Cherry",
    documents="https://help.aliyun.com/zh/model-studio/qwen-api-via-openai-chat-completions",
)  # fmt: skip
VENDORS = (
    replace(
        COMPATIBLE, id=49, slug="ali-bailian", name="Alibaba Model Studio (Bailian)", fields=FIELDS[1:], owned_by="alibailian",
        documents="https://help.aliyun.com/zh/model-studio/qwen-api-reference",
    ),
)  # fmt: skip
