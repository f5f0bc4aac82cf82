"""What Cohere does with texts beside chat: embeddings and rerank."""

import json
from typing import Any

from oneapi.vendors import shapes
from oneapi.wire import Call, Reply, Request, VendorError

Json = dict[str, Any]


def model_name(call: Call) -> str:
    """Without the suffix that once meant web search: v2 has no connectors, and the name must go on working."""
    return call.model.removesuffix("-internet")


def build_embeddings(call: Call) -> Request:
    """https://docs.cohere.com/reference/embed"""
    body, given = call.body, call.body["input"]
    texts = [given] if isinstance(given, str) else given
    if not all(isinstance(text, str) for text in texts):
        raise VendorError(
            "bad_request", "This vendor embeds texts and data URLs only: give input as a string or a list of strings."
        )
    kind = "images" if texts and all(text.startswith("data:image/") for text in texts) else "texts"
    out: Json = {"model": model_name(call), kind: texts, "embedding_types": ["float"]}
    out["input_type"] = body.get("input_type") or ("image" if kind == "images" else "search_document")
    out |= {name: body[name] for name in ("truncate", "max_tokens", "priority") if body.get(name) is not None}
    return Request(
        call.base_url + "/v2/embed", out | ({"output_dimension": body["dimensions"]} if body.get("dimensions") else {})
    )


def parse_embeddings(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    billed = (answer.get("meta") or {}).get("billed_units") or {}
    tokens = int(billed.get("input_tokens") or 0) + int(billed.get("image_tokens") or 0)
    return shapes.embeddings(call, answer["embeddings"]["float"], shapes.usage(tokens))


def build_rerank(call: Call) -> Request:
    """https://docs.cohere.com/reference/rerank"""
    body = call.body
    out = {"model": model_name(call), "query": body["query"], "documents": [document(item) for item in body["documents"]]}
    out |= {name: body[name] for name in ("top_n", "max_tokens_per_doc", "priority") if body.get(name) is not None}
    return Request(call.base_url + "/v2/rerank", out)


def document(item: Any) -> str:
    """v2 ranks texts; a document with fields is ranked by its text, or by all of its fields."""
    if isinstance(item, str):
        return item
    return item["text"] if isinstance(item.get("text"), str) else json.dumps(item, ensure_ascii=False)


def parse_rerank(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    units = ((answer.get("meta") or {}).get("billed_units") or {}).get("search_units") or 1
    rows = [{"index": row["index"], "relevance_score": row["relevance_score"]} for row in answer["results"]]
    if call.body.get("return_documents"):
        given = call.body["documents"]
        rows = [row | {"document": {"text": document(given[row["index"]])}} for row in rows]
    told = {"id": answer.get("id") or f"rerank-{call.id}", "model": call.asked or call.model, "results": rows}
    return told | {"usage": shapes.usage() | {"search_units": int(units)}}
