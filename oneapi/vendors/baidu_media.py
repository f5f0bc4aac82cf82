"""What Baidu Qianfan v1 has beside chat: embeddings, pictures and rankings; and its addresses and errors, which chat shares."""

from typing import Any
from urllib.parse import quote

from oneapi.vendors import pieces, shapes
from oneapi.vendors.contract import Protocol, failure
from oneapi.wire import Call, Reply, Request, VendorError

Json = dict[str, Any]

# https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh
CODES = {
    "1": "server", "2": "overloaded", "3": "no_model", "4": "overloaded", "6": "auth", "13": "auth", "14": "auth", "15": "server",
    "17": "rate_limited", "18": "rate_limited", "19": "rate_limited", "100": "bad_request", "110": "auth", "111": "auth",
    "336000": "server", "336001": "bad_request", "336002": "bad_request", "336003": "bad_request", "336004": "auth",
    "336005": "no_model", "336006": "bad_request", "336007": "too_long", "336100": "overloaded", "336101": "bad_request",
    "336103": "too_long", "336104": "bad_request", "336105": "bad_request", "336200": "server", "336303": "server",
    "336304": "content_filter", "336501": "rate_limited", "336502": "rate_limited", "336503": "rate_limited",
    "336504": "rate_limited", "500000": "server",
}  # fmt: skip
# Models whose last part of the address is not their name in lower case.
ENDPOINTS = {
    "ernie-4.0": "completions_pro", "ernie-bot-4": "completions_pro", "ernie-4.0-8k": "completions_pro",
    "ernie-bot": "completions", "ernie-3.5-8k": "completions", "ernie-bot-turbo": "eb-instant",
    "ernie-lite-8k-0922": "eb-instant", "ernie-bot-8k": "ernie_bot_8k", "ernie-speed": "ernie_speed",
    "ernie-speed-8k": "ernie_speed", "bloomz-7b": "bloomz_7b1", "bge-large-zh": "bge_large_zh", "bge-large-en": "bge_large_en",
    "tao-8k": "tao_8k", "stable-diffusion-xl": "sd_xl", "bce-reranker-base": "bce_reranker_base",
    "bce-reranker-base_v1": "bce_reranker_base",
}  # fmt: skip
TEXTS, TEXTS_OF = 16, {"tao-8k": 1}  # to embed at once
SERVICES = {"chat": "chat", "embeddings": "embeddings", "images": "text2image", "rerank": "reranker"}


def address(call: Call) -> str:
    endpoint = ENDPOINTS.get(call.model.lower(), call.model.lower())
    return f"{call.base_url}/rpc/2.0/ai_custom/v1/wenxinworkshop/{SERVICES[call.kind]}/{quote(endpoint, safe='')}"


def read(reply: Reply) -> Json:
    answer = reply.json()
    troubled(answer, reply.status)
    return answer


def troubled(piece: Json, status: int = 200) -> None:
    if piece.get("error_code"):
        raise pieces.refusal(CODES, piece["error_code"], piece.get("error_msg"), status)


def fail(reply: Reply, call: Call) -> VendorError:
    try:
        troubled(reply.json(), reply.status)
    except VendorError as error:
        return error
    except (ValueError, AttributeError):
        pass
    return failure(reply, call)


def build_embeddings(call: Call) -> Request:
    """https://cloud.baidu.com/doc/WENXINWORKSHOP/s/alj562vvu"""
    texts = pieces.next_inputs(call, TEXTS_OF.get(call.model.lower(), TEXTS))
    return Request(address(call), {"input": texts} | user(call.body))


def user(body: Json) -> Json:
    return {"user_id": body["user"]} if body.get("user") else {}


def parse_embeddings(reply: Reply, call: Call) -> Json | Request:
    answer = read(reply)
    vectors = [item["embedding"] for item in sorted(answer["data"], key=lambda item: item.get("index") or 0)]
    return pieces.gathered(call, vectors, (answer.get("usage") or {}).get("prompt_tokens") or 0) or build_embeddings(call)


def build_images(call: Call) -> Request:
    """https://cloud.baidu.com/doc/WENXINWORKSHOP/s/Klkqubb9w"""
    body = {k: v for k, v in call.body.items() if k not in ("model", "response_format", "quality", "user")}
    return Request(address(call), body | user(call.body))


def parse_images(reply: Reply, call: Call) -> Json:
    """Baidu has no addresses to give: who insists on one gets a data URL."""
    drawn = [item["b64_image"] for item in read(reply)["data"]]
    if call.body.get("response_format") == "url":
        return {"created": int(call.now), "data": [{"url": f"data:image/png;base64,{image}"} for image in drawn]}
    return {"created": int(call.now), "data": [{"b64_json": image} for image in drawn]}


def build_rerank(call: Call) -> Request:
    texts = [pieces.ranked_text(item) for item in call.body["documents"]]
    limit = {"top_n": call.body["top_n"]} if "top_n" in call.body else {}
    return Request(address(call), {"query": call.body["query"], "documents": texts, **limit})


def parse_rerank(reply: Reply, call: Call) -> Json:
    answer = read(reply)
    results = [(item["index"], item["relevance_score"]) for item in answer["results"]]
    used = shapes.usage((answer.get("usage") or {}).get("prompt_tokens") or 0)
    return pieces.ranking(call, results, used, answer.get("id") or "")


PROTOCOLS = {
    "embeddings": Protocol(build_embeddings, parse_embeddings, fail=fail),
    "images": Protocol(build_images, parse_images, fail=fail),
    "rerank": Protocol(build_rerank, parse_rerank, fail=fail),
}
