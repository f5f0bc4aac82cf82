"""The body of Gemini's generateContent, wherever Gemini is served. No row lives here.

https://ai.google.dev/api/generate-content
"""

import re
from typing import Any
from urllib.parse import quote

from oneapi.vendors import asks, shapes
from oneapi.wire import Call

Json = dict[str, Any]

FORMAT = "google-gemini-v1"  # OpenRouter's name for this vendor's signatures
HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
# Accepted in place of a signature that was lost on the way. https://ai.google.dev/gemini-api/docs/thought-signatures
UNSIGNED = "skip_thought_signature_validator"
BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
# OpenAI's parameter → generationConfig. https://ai.google.dev/api/generate-content#generationconfig
PARAMETERS = {
    "temperature": "temperature", "top_p": "topP", "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
    "seed": "seed", "logprobs": "responseLogprobs", "top_logprobs": "logprobs",
}  # fmt: skip
# The vendor's own names, in both spellings, as clients put them into the body or into Google's `extra_body.google`.
CONFIG = ("topK", "mediaResolution", "imageConfig", "speechConfig", "thinkingConfig", "responseModalities", "audioTimestamp")
REQUEST = ("safetySettings", "cachedContent", "labels", "toolConfig", "serviceTier", "modelArmorConfig")
VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")


def address(call: Call, action: str) -> str:
    """Where the Gemini API is asked: below the version that the base URL or the channel names."""
    model = call.model if "/" in call.model else f"models/{call.model}"
    return f"{root(call)}/{quote(model, safe='/:@')}:{action}"


def root(call: Call) -> str:
    if re.search(r"/v\d[a-z0-9]*$", call.base_url):
        return call.base_url
    return f"{call.base_url}/{call.config.get('api_version') or 'v1beta'}"


def version(model: str) -> tuple[int, int]:
    """Gemini's version; a name without one (gemini-flash-latest) is of a new model."""
    found = VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)


def body(call: Call) -> Json:
    asked, native = call.body, _native(call.body)
    system, turns = asks.conversation(asked)
    out: Json = {"contents": contents(turns, version(call.model) >= (3, 0) and "gemini" in call.model)}
    if text := asks.system_text(system):
        out["systemInstruction"] = {"parts": [{"text": text}]}
    if (
        config := _config(asked, call.model)
        | {k: v for k, v in native.items() if k in CONFIG}
        | native.get("generationConfig", {})
    ):
        out["generationConfig"] = config
    if safety := call.config.get("safety", "BLOCK_NONE"):
        out["safetySettings"] = [{"category": f"HARM_CATEGORY_{harm}", "threshold": safety} for harm in HARMS]
    return out | _tools(asked) | {k: v for k, v in native.items() if k in REQUEST}


def _native(asked: Json) -> Json:
    """The vendor's own parameters in the vendor's spelling; Google documents `extra_body.google` for its OpenAI address."""
    google = (asked.get("extra_body") or {}).get("google") or {}
    found = google | {k: v for k, v in asks.extras(asked).items() if k not in google}
    return {re.sub(r"_([a-z])", lambda m: m[1].upper(), name): value for name, value in found.items()}


def _config(asked: Json, model: str) -> Json:
    out = {name: asked[key] for key, name in PARAMETERS.items() if asked.get(key) is not None}
    if limit := shapes.max_tokens(asked):
        out["maxOutputTokens"] = limit
    if (asked.get("n") or 1) > 1:
        out["candidateCount"] = asked["n"]
    if stop := shapes.stop_list(asked):
        out["stopSequences"] = stop[:5]
    if "image" in (asked.get("modalities") or ()):
        out["responseModalities"] = [modality.upper() for modality in asked["modalities"]]
    wants_json, named = asks.json_mode(asked)
    if wants_json:
        out["responseMimeType"] = "application/json"
    if named:
        out["responseJsonSchema"] = named["schema"]
    if thought := _thinking(asked, model):
        out["thinkingConfig"] = thought
    return out


def _thinking(asked: Json, model: str) -> Json:
    """Levels since Gemini 3, token budgets for 2.5. https://ai.google.dev/gemini-api/docs/thinking"""
    effort, budget, number = asks.effort(asked), asks.budget(asked), version(model)
    if not effort and budget is None or number < (2, 5):
        return {}
    shown = {"includeThoughts": True} if effort != "none" else {}
    if budget is not None or number < (3, 0):
        tokens = BUDGETS.get(effort, -1) if budget is None else budget
        return {"thinkingBudget": max(tokens, 128) if "pro" in model and tokens >= 0 else tokens} | shown  # Pro always thinks
    least = "minimal" if "flash" in model else "low"
    return {"thinkingLevel": {"none": least, "minimal": least, "low": "low", "medium": "medium"}.get(effort, "high")} | shown


def _tools(asked: Json) -> Json:
    tools = asks.tools(asked)
    functions = [_function(tool["function"]) for tool in tools if isinstance(tool.get("function"), dict)]
    listed: list[Json] = [{"functionDeclarations": functions}] if functions else []
    listed += [tool for tool in tools if not isinstance(tool.get("function"), dict)]  # the vendor's own: googleSearch
    if asked.get("web_search_options") is not None:
        listed.append({"googleSearch": {}})
    if not listed:
        return {}
    mode, name = asks.choice(asked)
    calling: Json = {"mode": {"none": "NONE", "required": "ANY", "named": "ANY", "auto": "AUTO"}.get(mode, "")}
    if name:
        calling["allowedFunctionNames"] = [name]
    return {"tools": listed} | ({"toolConfig": {"functionCallingConfig": calling}} if calling["mode"] and functions else {})


def _function(function: Json) -> Json:
    out = {k: function[k] for k in ("name", "description") if function.get(k)}
    return out | ({"parametersJsonSchema": function["parameters"]} if function.get("parameters") else {})


def contents(turns: list[Json], signed: bool = False) -> list[Json]:
    """The conversation; results of parallel calls go into one turn, named after the calls they answer."""
    names = {call["id"]: call["function"]["name"] for turn in turns for call in turn.get("tool_calls") or () if call.get("id")}
    out: list[Json] = []
    previous = ""
    for turn in turns:
        role = turn["role"]
        if role == "assistant":
            parts = _said(turn, signed)
        else:
            parts = _results(turn, names) if role == "tool" else [_part(part) for part in asks.parts(turn.get("content"))]
        if role == "tool" and previous == "tool":
            out[-1]["parts"] += parts
        elif parts:
            out.append({"role": "model" if role == "assistant" else "user", "parts": parts})
        previous = role
    return out


def _said(turn: Json, signed: bool) -> list[Json]:
    """What the model said, each signature on the part it came with: of a text on the last text, of a call on the call."""
    parts = [_part(part) for part in asks.parts(turn.get("content"))]
    for detail in asks.reasoning(turn, FORMAT):
        if detail.get("type") == "reasoning.encrypted":
            parts = parts or [{"text": ""}]
            parts[-1]["thoughtSignature"] = detail["data"]
    for number, call in enumerate(turn.get("tool_calls") or ()):
        part: Json = {"functionCall": {**_id(call.get("id")), "name": call["function"]["name"], "args": asks.arguments(call)}}
        google = (call.get("extra_content") or {}).get("google") or {}
        if signature := google.get("thought_signature") or (UNSIGNED if signed and not number else ""):
            part["thoughtSignature"] = signature
        parts.append(part)
    return parts


def _id(id: str | None) -> Json:
    """Ids that the vendor gave go back to it; the vendor matches our own by order and name."""
    return {"id": id} if id and not id.startswith("call_") else {}


def _results(turn: Json, names: dict[str, str]) -> list[Json]:
    id, content = turn["tool_call_id"], turn.get("content")
    text = shapes.text_of(content)
    answer = asks.result(text)
    response = {"result": text} if answer is None else answer
    part: Json = {"functionResponse": {**_id(id), "name": names.get(id) or turn.get("name") or id, "response": response}}
    pictures = [part for part in content if part.get("type") != "text"] if isinstance(content, list) else []
    return [part, *(_part(picture) for picture in pictures)]


def _part(part: Json) -> Json:
    match part.get("type"):
        case "text" | "refusal":
            return {"text": part.get("text") or part.get("refusal")}
        case "image_url":
            return _media(asks.image_url(part))
        case "video_url":
            return _media(part["video_url"]["url"])
        case "file" if str(part["file"].get("file_id") or part["file"].get("file_data")).startswith(("https://", "gs://")):
            return {"fileData": {"fileUri": part["file"].get("file_id") or part["file"]["file_data"]}}
        case "file":
            media_type, data, _ = asks.file(part)
            return {"inlineData": {"mimeType": media_type, "data": data}}
        case "input_audio":
            sound = part["input_audio"]
            return {"inlineData": {"mimeType": f"audio/{sound.get('format', 'wav')}", "data": sound["data"]}}
        case None:
            return part  # the vendor's own: inlineData, fileData
    raise asks.unsupported(part)


def _media(url: str) -> Json:
    if not url.startswith("data:"):
        return {"fileData": {"fileUri": url}}
    media_type, data = shapes.data_url(url)
    return {"inlineData": {"mimeType": media_type, "data": data}}
