"""What Cohere does with texts beside chat: embeddings and rerank."""

from typing import Any

from oneapi.vendors import asks, pieces, shapes
from oneapi.wire import Call, Reply, Request

Json = dict[str, Any]

TEXTS = 96  # that may be embedded at once; pictures go one by one


def model_name(call: Call) -> str:
    """Without the suffix that once meant web search: v2 has no connectors, and the name must go on working."""
    return call.model.removesuffix("-internet")


def build_embeddings(call: Call) -> Request:
    """https://docs.cohere.com/reference/embed"""
    body = call.body
    pictured = all(text.startswith("data:image/") for text in asks.inputs(body))
    kind = "images" if pictured else "texts"
    out: Json = {
        "model": model_name(call),
        kind: pieces.next_inputs(call, 1 if pictured else TEXTS),
        "embedding_types": ["float"],
    }
    out["input_type"] = body.get("input_type") or ("image" if pictured else "search_document")
    out |= {name: body[name] for name in ("truncate", "max_tokens", "priority") if body.get(name) is not None}
    return Request(
        call.base_url + "/v2/embed", out | ({"output_dimension": body["dimensions"]} if body.get("dimensions") else {})
    )


def parse_embeddings(reply: Reply, call: Call) -> Json | Request:
    answer = reply.json()
    billed = (answer.get("meta") or {}).get("billed_units") or {}
    tokens = (billed.get("input_tokens") or 0) + (billed.get("image_tokens") or 0)
    return pieces.gathered(call, answer["embeddings"]["float"], tokens) or build_embeddings(call)


def build_rerank(call: Call) -> Request:
    """https://docs.cohere.com/reference/rerank"""
    body = call.body
    out = {
        "model": model_name(call),
        "query": body["query"],
        "documents": [pieces.ranked_text(item) for item in body["documents"]],
    }
    out |= {name: body[name] for name in ("top_n", "max_tokens_per_doc", "priority") if body.get(name) is not None}
    return Request(call.base_url + "/v2/rerank", out)


def parse_rerank(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    units = ((answer.get("meta") or {}).get("billed_units") or {}).get("search_units") or 1
    results = ((row["index"], row["relevance_score"]) for row in answer["results"])
    return pieces.ranking(call, results, shapes.usage() | {"search_units": int(units)}, answer.get("id") or "")
