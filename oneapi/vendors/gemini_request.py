"""The body of Gemini's generateContent, wherever Gemini is served. No row lives here.

https://ai.google.dev/api/generate-content
"""

import re
from typing import Any
from urllib.parse import quote

from oneapi.vendors import asks, shapes, typed
from oneapi.vendors.gemini_turns import contents
from oneapi.wire import Call

Json = dict[str, Any]

HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
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
        | typed.object_of(native, "generationConfig")
    ):
        out["generationConfig"] = config
    if safety := call.config.get("safety", "BLOCK_NONE"):
        out["safetySettings"] = [{"category": f"HARM_CATEGORY_{harm}", "threshold": safety} for harm in HARMS]
    return out | _tools(asked) | {k: v for k, v in native.items() if k in REQUEST}


def _native(asked: Json) -> Json:
    """The vendor's own parameters in the vendor's spelling; Google documents `extra_body.google` for its OpenAI address."""
    google = typed.object_of(typed.object_of(asked, "extra_body"), "google", "extra_body.")
    found = google | {k: v for k, v in asks.extras(asked).items() if k not in google}
    return {re.sub(r"_([a-z])", lambda m: m[1].upper(), name): value for name, value in found.items()}


def _config(asked: Json, model: str) -> Json:
    out = {name: asked[key] for key, name in PARAMETERS.items() if asked.get(key) is not None}
    if limit := shapes.max_tokens(asked):
        out["maxOutputTokens"] = limit
    if (typed.number_of(asked, "n") or 1) > 1:
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
