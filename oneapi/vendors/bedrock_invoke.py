"""Bedrock's InvokeModel, where Converse does not reach: embeddings, images, rankings, and Claude in Anthropic's own words.

Every family has its own body; no row lives here. https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import asks, messages_protocol, messages_request, pieces, shapes
from oneapi.vendors.converse_protocol import fault
from oneapi.wire import Call, Event, Reply, VendorError

Json = dict[str, Any]

COHERE_TEXTS = 96  # at once: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed.html
CLAUDE_VERSION = "bedrock-2023-05-31"  # the later one is for Claude 4.7 and newer only


# Claude


def claude(call: Call) -> Json:
    body = {"anthropic_version": CLAUDE_VERSION, **messages_request.body(call)}
    betas = [beta.strip() for beta in call.headers.get("anthropic-beta", "").split(",") if beta.strip()]
    return body | ({"anthropic_beta": betas} if betas else {})


def claude_stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    return messages_protocol.stream(_unwrapped(events), call)


def _unwrapped(events: Iterable[Event]) -> Iterator[Event]:
    """The model's own events, which travel as base64 inside Amazon's."""
    for event in events:
        if event.name.startswith(":exception:"):
            raise fault(event)
        if event.name == "chunk":
            yield Event(json.loads(base64.b64decode(event.data["bytes"])))


# Embeddings


def embeddings(call: Call) -> Json:
    """The next text for families that take one at a time, and as many as it may be for Cohere."""
    asked = call.body
    texts = pieces.next_inputs(call, COHERE_TEXTS if "cohere" in call.model else 1)
    own = {k: v for k, v in asks.extras(asked).items() if k not in ("input", "encoding_format", "dimensions")}
    size = asked.get("dimensions")
    if "cohere" in call.model:
        sized = {"output_dimension": size} if size else {}
        return {"texts": texts, "input_type": "search_document", "embedding_types": ["float"], **sized} | own
    text = texts[0]
    if "nova" in call.model:
        wanted = {"embeddingPurpose": "GENERIC_INDEX", "text": {"truncationMode": "NONE", "value": text}}
        sized = {"embeddingDimension": size} if size else {}
        return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": wanted | sized | own}
    if "titan-embed-image" in call.model:
        return {"inputText": text, **({"embeddingConfig": {"outputEmbeddingLength": size}} if size else {})} | own
    return {"inputText": text, **({"dimensions": size} if size else {})} | own


def vectors(reply: Reply, call: Call) -> Json | None:
    """OpenAI's embeddings, or None while texts are left to ask for."""
    answer = reply.json()
    tokens = int(answer.get("inputTextTokenCount") or reply.headers.get("x-amzn-bedrock-input-token-count") or 0)
    match answer:
        case {"embedding": list(values)} | {"embeddings": [{"embedding": list(values)}]}:  # Titan, Nova
            return pieces.gathered(call, [values], tokens)
        case {"embeddings": {"float": list(several)}} | {"embeddings": list(several)}:  # Cohere
            return pieces.gathered(call, several, tokens)
    raise VendorError("garbled", "The vendor's answer has no embedding.", status=reply.status)


# Images

DRAWN = {
    "prompt", "size", "quality", "style", "background", "moderation", "output_format", "output_compression", "partial_images",
}  # fmt: skip  # OpenAI's parameters for images; what a body has besides is meant for the model


def image(call: Call) -> Json:
    """Nova Canvas and Titan share one form, Stability's models another."""
    asked = call.body
    own = {k: v for k, v in asks.extras(asked).items() if k not in DRAWN} | ({"seed": asked["seed"]} if "seed" in asked else {})
    width, _, height = str(asked.get("size") or "").partition("x")
    sized = width.isdecimal() and height.isdecimal()
    if "stability" in call.model:
        ratio = {"aspect_ratio": _ratio(int(width), int(height))} if sized else {}
        kind = {"output_format": asked["output_format"]} if asked.get("output_format") else {}
        return {"prompt": asked["prompt"], **ratio, **kind} | own
    config: Json = {"numberOfImages": asked.get("n") or 1}
    config |= {"width": int(width), "height": int(height)} if sized else {}
    config |= {"quality": "premium"} if asked.get("quality") in ("hd", "high", "premium") else {}
    text = {"text": asked["prompt"]} | ({"negativeText": own.pop("negative_prompt")} if "negative_prompt" in own else {})
    return {"taskType": "TEXT_IMAGE", "textToImageParams": text, "imageGenerationConfig": config | own}


RATIOS = ("1:1", "16:9", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21")


def _ratio(width: int, height: int) -> str:
    def off(ratio: str) -> float:
        across, _, down = ratio.partition(":")
        return abs(int(across) / int(down) - width / height)

    return min(RATIOS, key=off)


def pictures(reply: Reply, call: Call) -> Json:
    """Images in base64; a filter speaks in `error` (Amazon) or in `finish_reasons` (Stability)."""
    answer = reply.json()
    reasons = [reason for reason in answer.get("finish_reasons") or () if reason] or [answer.get("error")]
    images = answer.get("images") or []
    if not images and reasons[0]:
        raise VendorError("content_filter", str(reasons[0]), status=200)
    kind = f"image/{call.body.get('output_format') or 'png'}" if "stability" in call.model else "image/png"
    return asks.pictures([(kind, data) for data in images], call.body, int(call.now))


# Rankings


def ranking(call: Call) -> Json:
    asked = call.body
    body: Json = {"query": asked["query"], "documents": [pieces.ranked_text(item) for item in asked["documents"]]}
    if asked.get("top_n"):
        body["top_n"] = asked["top_n"]
    return body | ({"api_version": 2} if "cohere" in call.model else {})


def ranked(reply: Reply, call: Call) -> Json:
    """Rankings as Cohere and Jina write them. Bedrock counts no tokens."""
    results = ((found["index"], found["relevance_score"]) for found in reply.json()["results"])
    return pieces.ranking(call, results, shapes.usage())
