"""Embeddings and images of Google's models, whether at the Gemini API or on Vertex AI. No row lives here."""

import base64
from typing import Any

from oneapi.vendors import asks, endings, gemini_request, pieces
from oneapi.vendors.gemini_protocol import ABORTS, blocked
from oneapi.vendors.google_errors import fault
from oneapi.vendors.usages import gemini as usage
from oneapi.wire import Call, Reply, VendorError

Json = dict[str, Any]

AT_ONCE = 100  # texts: "at most 100 requests can be in one batch" is what the API says to more
DRAWN = {
    "prompt", "size", "quality", "style", "background", "moderation", "output_format", "output_compression", "partial_images",
    "aspect_ratio",
}  # fmt: skip  # OpenAI's parameters for images; what a body has besides is meant for Imagen
# The aspect ratios Imagen knows, from OpenAI's sizes. https://ai.google.dev/gemini-api/docs/imagen
RATIOS = (("1:1", 1.0), ("3:4", 3 / 4), ("4:3", 4 / 3), ("9:16", 9 / 16), ("16:9", 16 / 9))


def batch(call: Call) -> Json:
    """batchEmbedContents: https://ai.google.dev/api/embeddings"""
    model = call.model if "/" in call.model else f"models/{call.model}"
    return {"requests": [{"model": model, **content(text), **_wishes(call.body)} for text in pieces.next_inputs(call, AT_ONCE)]}


def content(text: str) -> Json:
    return {"content": {"parts": [{"text": text}]}}


def _wishes(body: Json) -> Json:
    names = (("dimensions", "outputDimensionality"), ("task_type", "taskType"), ("taskType", "taskType"), ("title", "title"))
    return {name: body[key] for key, name in names if body.get(key) is not None}


def vertex_batch(call: Call) -> Json:
    """Vertex wants the wishes nested: embedContent for one text, batchEmbedContents for more."""
    wishes = {"embedContentConfig": _wishes(call.body)} if _wishes(call.body) else {}
    each = [content(text) | wishes for text in pieces.next_inputs(call, AT_ONCE)]
    return each[0] if len(each) == 1 else {"requests": each}


def vertex_predict(call: Call) -> Json:
    """https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api"""
    wishes = _wishes(call.body)
    size = wishes.pop("outputDimensionality", None)
    task = {"task_type": wishes.pop("taskType")} if "taskType" in wishes else {}
    instances = [{"content": text, **task, **wishes} for text in pieces.next_inputs(call, AT_ONCE)]
    return {"instances": instances} | ({"parameters": {"outputDimensionality": size}} if size else {})


def vectors(reply: Reply, call: Call) -> Json | None:
    """Embeddings of any of the four forms, or None while texts are left; tokens where the vendor reports them."""
    answer = reply.json()
    if answer.get("error"):
        raise fault(answer["error"])
    if "predictions" in answer:
        found = [prediction["embeddings"] for prediction in answer["predictions"]]
        counts = [(item.get("statistics") or {}).get("token_count") for item in found]
    else:
        found = [answer["embedding"]] if "embedding" in answer else answer["embeddings"]
        counts = [(answer.get("usageMetadata") or {}).get("promptTokenCount")]
    return pieces.gathered(call, [item["values"] for item in found], sum(count for count in counts if count))


def is_imagen(model: str) -> bool:
    return "imagen" in model or "imagegeneration" in model


def imagen(call: Call) -> Json:
    """Imagen's :predict: https://ai.google.dev/gemini-api/docs/imagen"""
    asked = call.body
    own = {k: v for k, v in asks.extras(asked).items() if k not in DRAWN}
    wanted: Json = {"sampleCount": asked.get("n") or 1}
    if ratio := _ratio(asked):
        wanted["aspectRatio"] = ratio
    if asked.get("output_format"):
        wanted["outputOptions"] = {"mimeType": f"image/{asked['output_format']}"}
    return {"instances": [{"prompt": asked["prompt"]}], "parameters": wanted | own}


def _ratio(asked: Json) -> str:
    """The nearest of the known shapes; the vendor chooses the number of pixels."""
    if asked.get("aspect_ratio"):
        return str(asked["aspect_ratio"])
    width, _, height = str(asked.get("size") or "").partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(height)):
        return ""
    return min(RATIOS, key=lambda ratio: abs(ratio[1] - int(width) / int(height)))[0]


def drawing(call: Call) -> Json:
    """generateContent for models that draw: the prompt, and for edits the pictures to change."""
    asked = call.body
    parts: list[Json] = [{"text": asked["prompt"]}]
    for file in call.files:
        if file.name.startswith("image"):
            parts.append({"inlineData": {"mimeType": asks.kind_of(file), "data": base64.b64encode(file.data).decode()}})
    config: Json = {"responseModalities": ["TEXT", "IMAGE"]}
    if ratio := _ratio(asked):
        config["imageConfig"] = {"aspectRatio": ratio}
    out: Json = {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}
    if safety := call.config.get("safety", "BLOCK_NONE"):
        harms = gemini_request.HARMS
        out["safetySettings"] = [{"category": f"HARM_CATEGORY_{harm}", "threshold": safety} for harm in harms]
    return out


def pictures(reply: Reply, call: Call) -> Json:
    """OpenAI's images from Imagen's predictions or from the parts of a Gemini answer."""
    answer = reply.json()
    if answer.get("error"):
        raise fault(answer["error"])
    if "candidates" in answer or blocked(answer):
        parts = [part for one in answer.get("candidates") or () for part in (one.get("content") or {}).get("parts") or ()]
        found = [part["inlineData"] for part in parts if "inlineData" in part and not part.get("thought")]
        failed = next((one for one in answer.get("candidates") or () if one.get("finishReason") in ABORTS), None)
        if failed and not found:
            raise endings.aborted(failed["finishReason"], failed.get("finishMessage"))
        images = [(item["mimeType"], item["data"]) for item in found]
        used = _image_usage(answer.get("usageMetadata"))
    else:
        predictions = answer.get("predictions") or []
        made = [item for item in predictions if item.get("bytesBase64Encoded")]
        images = [(item.get("mimeType") or "image/png", item["bytesBase64Encoded"]) for item in made]
        reason = next((item["raiFilteredReason"] for item in predictions if item.get("raiFilteredReason")), "")
        if reason and not images:
            raise VendorError("content_filter", reason, status=200)
        used = None
    return asks.pictures(images, call.body, int(call.now), used)


def _image_usage(told: Json | None) -> Json | None:
    """Usage as OpenAI's images report it."""
    if not told:
        return None
    used = usage(told)
    tokens = {"input_tokens": used["prompt_tokens"], "output_tokens": used["completion_tokens"]}
    return tokens | {"total_tokens": used["total_tokens"]}
