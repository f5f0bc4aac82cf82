"""MiniMax: OpenAI's protocol with errors under HTTP 200 and thinking in reasoning_details; minimax_media has the rest."""

from oneapi.vendors import balances, minimax_media, shapes
from oneapi.vendors.contract import Vendor
from oneapi.vendors.quirks import Json, adapted, reshaped, spoken, system_role
from oneapi.vendors.refusals import failing, refused_by
from oneapi.wire import Call

# https://platform.minimax.io/docs/api-reference/text-openai-api, errors: /docs/api-reference/errorcode
CODES = {
    "1000": "server", "1001": "timeout", "1002": "rate_limited", "1004": "auth", "1008": "quota", "1013": "server",
    "1024": "server", "1026": "content_filter", "1027": "content_filter", "1033": "server", "1039": "rate_limited",
    "1041": "rate_limited", "1042": "bad_request", "2013": "bad_request", "2045": "rate_limited", "2049": "auth",
    "2056": "rate_limited",
}  # fmt: skip


def new_limit(body: Json, call: Call) -> Json:
    """The older name of the limit is on its way out; where both are given the newer one holds, as everywhere."""
    if "max_tokens" not in body:
        return body
    return {"max_completion_tokens": shapes.max_tokens(body)} | {k: v for k, v in body.items() if k != "max_tokens"}


def with_thinking(body: Json, call: Call) -> Json:
    """Thinking is asked for beside the text, not inside it, and goes back in the form it came in."""
    if "reasoning_split" not in body and call.model.lower().startswith("minimax-m"):
        body = body | {"reasoning_split": True}
    messages = body.get("messages")
    if not isinstance(messages, list) or not any("reasoning_content" in m for m in messages):
        return body
    return body | {"messages": [_message(m) for m in messages]}


def _message(message: Json) -> Json:
    kept = {k: v for k, v in message.items() if k != "reasoning_content"}
    text = message.get("reasoning_content")
    if text and not kept.get("reasoning_details"):
        kept["reasoning_details"] = [{"type": "reasoning.text", "format": "MiniMax-response-v1", "index": 0, "text": text}]
    return kept


def reasoning(piece: Json, call: Call, memo: Json) -> None:
    """Thinking in reasoning_details is also given as reasoning_content.

    The vendor's example reads a stream's texts as repeating all that came before, its servers were seen to send only
    what is new: https://github.com/MiniMax-AI/MiniMax-M2/issues/95. Whatever repeats at least four characters is the former.
    """
    for choice, message in spoken(piece):
        text = "".join(part.get("text") or "" for part in message.get("reasoning_details") or ())
        if text and "reasoning_content" not in message:
            seen = memo.get(choice.get("index", 0), "")
            repeats = len(seen) >= 4 and text.startswith(seen)
            memo[choice.get("index", 0)] = text if repeats else seen + text
            message["reasoning_content"] = text[len(seen) :] if repeats else text
            if repeats:
                message["reasoning_details"] = [message["reasoning_details"][0] | {"text": text[len(seen) :]}]


def repeated(piece: Json, call: Call, memo: Json) -> None:
    """Remove the whole text from a last delta that says it again: https://github.com/MiniMax-AI/MiniMax-M2.5/issues/2"""
    for choice, message in spoken(piece):
        text = message.get("content")
        if "delta" not in choice or not isinstance(text, str):
            continue
        said = memo.setdefault(f"said {choice.get('index', 0)}", [])
        if choice.get("finish_reason") and len(said) > 1 and len(text) >= 4 and text == "".join(said):
            del message["content"]
        said.append(text)


CHAT = adapted(
    refused_by(
        lambda piece: ((piece.get("base_resp") or {}).get("status_code"), (piece.get("base_resp") or {}).get("status_msg") or ""),
        CODES,
    ),
    reasoning,
    repeated,
    body=reshaped(system_role, new_limit, with_thinking),
    fail=failing(CODES),
)

VENDORS = (
    Vendor(
        27, "minimax", "MiniMax", "https://api.minimaxi.com", {"chat": CHAT, **minimax_media.protocols(CODES)},
        model_list=balances.MODELS, owned_by="minimax", voice="male-qn-qingse",
        documents="https://platform.minimaxi.com/docs/api-reference/text-openai-api",
    ),
)  # fmt: skip
