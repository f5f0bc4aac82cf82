"""Baidu Qianfan v2: OpenAI's protocol with codes of its own; the key is used as it is."""

from oneapi.fields import Field
from oneapi.vendors import balances, openai
from oneapi.vendors.batches import batched
from oneapi.vendors.contract import Vendor, bearer
from oneapi.vendors.quirks import Json, adapted, spoken, system_role
from oneapi.wire import Call, Request

# https://cloud.baidu.com/doc/qianfan-docs/s/0m9l6ex4k
CODES = {
    "malformed_json": "bad_request", "invalid_model": "no_model", "invalid_messages": "bad_request",
    "characters_too_long": "too_long", "tokens_too_long": "too_long", "invalid_argument": "bad_request",
    "no_parameter_permission": "bad_request", "invalid_appid": "auth", "invalid_iam_token": "auth",
    "coding_plan_api_key_not_allowed": "auth", "access_denied": "auth", "account_overdue": "quota",
    "system_unsafe": "content_filter", "user_setting_unsafe": "content_filter", "functions_unsafe": "content_filter",
    "image_url_unsafe": "content_filter", "method_not_supported": "bad_request", "rpm_rate_limit_exceeded": "rate_limited",
    "tpm_rate_limit_exceeded": "rate_limited", "input_tpm_rate_limit_exceeded": "rate_limited",
    "output_tpm_rate_limit_exceeded": "rate_limited", "user_rate_limit_exceeded": "rate_limited",
    "preemptible_rate_limit_exceeded": "overloaded", "cluster_rate_limit_exceeded": "overloaded",
    "cluster_rpm_rate_limit_exceeded": "overloaded", "cluster_tpm_rate_limit_exceeded": "overloaded",
    "internal_error": "server", "dispatch_internal_error": "server",
}  # fmt: skip
KINDS = ("chat", "embeddings", "images", "image_edits", "rerank")
PATHS = {kind: "/v2" + openai.PATHS[kind].removeprefix("/v1") for kind in KINDS}


def rank_documents(piece: Json, call: Call, memo: Json) -> None:
    """Documents of a ranking as objects, where the vendor gives texts."""
    for result in piece.get("results") or ():
        if isinstance(result.get("document"), str):
            result["document"] = {"text": result["document"]}


def filtered(piece: Json, call: Call, memo: Json) -> None:
    """A flag beside a choice says that the words were censored, also where the finish reason does not."""
    for choice, _ in spoken(piece):
        if choice.get("flag") and choice.get("finish_reason") == "stop":
            choice["finish_reason"] = "content_filter"


def sign(request: Request, call: Call) -> Request:
    """Applications of one key are told apart by a header."""
    if call.config.get("appid"):
        request.headers["appid"] = call.config["appid"]
    return bearer(request, call)


PROTOCOLS = {
    **dict.fromkeys(KINDS, adapted(codes=CODES)),
    "embeddings": batched(adapted(codes=CODES), 16, {"tao-8k": 1}),  # as Qianfan's first version
    "chat": adapted(filtered, body=system_role, codes=CODES),
    "rerank": adapted(rank_documents, codes=CODES),
}
FIELDS = (Field("appid", str, "", "Application id", "Optional: usage is then counted for this application of the key."),)
KEY = "API key (bce-v3/ALTAK-…)"
MODELS = balances.models("/v2/models")
DOCUMENTS = "https://cloud.baidu.com/doc/qianfan-api/s/3m9b5lqft"

VENDORS = (
    Vendor(
        47, "baidu-v2", "Baidu Qianfan v2", "https://qianfan.baidubce.com", PROTOCOLS, PATHS, sign=sign, fields=FIELDS,
        key_label=KEY, model_list=MODELS, owned_by="baiduv2", documents=DOCUMENTS,
    ),
)  # fmt: skip
