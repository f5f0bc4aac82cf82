"""SiliconFlow: OpenAI's protocol with codes, a count of images and a place for a ranking's tokens of its own."""

from oneapi.vendors import balances, openai, reports
from oneapi.vendors.contract import Vendor
from oneapi.vendors.quirks import Json, adapted, system_role
from oneapi.wire import Call

# https://docs.siliconflow.cn/cn/faqs/error-code: an empty account is told under 403.
CODES = {
    "20012": "no_model", "20015": "bad_request", "30001": "quota", "30003": "no_model", "50505": "overloaded",
}  # fmt: skip


def image_body(body: Json, call: Call) -> Json:
    """Images are counted in batches there and sized by another name."""
    names = {"size": "image_size", "n": "batch_size"}
    return {names.get(k, k): v for k, v in body.items()}


def image_list(piece: Json, call: Call, memo: Json) -> None:
    if "data" not in piece and isinstance(piece.get("images"), list):
        piece["data"] = piece["images"]
    piece.setdefault("created", int(call.now))


def rank_usage(piece: Json, call: Call, memo: Json) -> None:
    """Tokens of a ranking that are counted in `meta`, as Cohere's first version did."""
    tokens = reports.numbers(reports.numbers(piece.get("meta")).get("tokens"))
    if "usage" not in piece and isinstance(tokens.get("input_tokens"), int):
        used = tokens["input_tokens"] + (tokens.get("output_tokens") or 0)
        piece["usage"] = {"prompt_tokens": used, "total_tokens": used}


PROTOCOLS = {
    **openai.PROTOCOLS, "chat": adapted(body=system_role, codes=CODES),
    "embeddings": adapted(codes=CODES), "rerank": adapted(rank_usage, codes=CODES),
    "images": adapted(image_list, body=image_body, codes=CODES),
}  # fmt: skip

VENDORS = (
    Vendor(
        44, "siliconflow", "SiliconFlow", "https://api.siliconflow.cn", PROTOCOLS,
        rename={"max_completion_tokens": "max_tokens"}, voice="{model}:alex",
        offers=("chat", "embeddings", "images", "speech", "transcriptions", "rerank"),
        balance=balances.SILICONFLOW, model_list=balances.MODELS, owned_by="siliconflow",
        documents="https://docs.siliconflow.cn/cn/api-reference/chat-completions/chat-completions",
    ),
)  # fmt: skip
