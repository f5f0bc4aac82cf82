"""What OpenAI's imitators do differently: small changes to bodies and answers around the pass-through protocol."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from oneapi.vendors import asks, openai, reports
from oneapi.vendors.contract import Fail, Protocol, failure
from oneapi.vendors.refusals import Mend, coded, failing, faulty
from oneapi.wire import Call, Event, Reply, Request

Json = dict[str, Any]
Reshape = Callable[[Json, Call], Json]


def adapted(
    *mends: Mend,
    body: Reshape | None = None,
    place: Callable[[Request, Call], Request] | None = None,
    names: tuple[str, ...] = (),
    fail: Fail = failure,
    codes: Mapping[str, str] | None = None,
) -> Protocol:
    """OpenAI's protocol with changes: `body` before the request, `place` after it, `mends` on answers and chunks.

    `names`, when given, are the SSE event names that carry chunks; events of other names are left out, errors are not.
    `codes` is the vendor's own table of errors, for failed statuses as well as for errors under HTTP 200.
    """
    if codes is not None:
        fail, mends = failing(codes), (faulty(codes), *mends)

    def build(call: Call) -> Request:
        sent = body(call.body, call) if body else call.body
        request = openai.build(call if sent is call.body else replace(call, body=sent))
        return place(request, call) if place else request

    def parse(reply: Reply, call: Call) -> Json | Reply:
        answer = reply.json()
        if isinstance(answer, dict):
            memo: Json = {}
            for mend in mends:
                mend(answer, call, memo)
        return openai.check(answer, call)

    def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
        return openai.stream(_mended(events, call, mends, names, codes), call)

    return Protocol(build, parse, stream, fail=fail, native=not (mends or names))


def _mended(
    events: Iterable[Event], call: Call, mends: tuple[Mend, ...], names: tuple[str, ...], codes: Mapping[str, str] | None
) -> Iterator[Event]:
    memo: Json = {}
    for event in events:
        if names and event.name not in names and event.name != "error":
            continue
        if codes is not None and event.name == "error" and isinstance(event.data, dict):
            raise coded(event.data, codes)
        if isinstance(event.data, dict):
            for mend in mends:
                mend(event.data, call, memo)
        yield event


def spoken(piece: Json) -> Iterator[tuple[Json, Json]]:
    """Each choice of an answer or chunk with its message or delta."""
    for choice in piece.get("choices") or ():
        yield choice, choice.get("message") or choice.get("delta") or {}


# Bodies


def reshaped(*steps: Reshape) -> Reshape:
    """Several changes of the body, one after the other."""

    def reshape(body: Json, call: Call) -> Json:
        for step in steps:
            body = step(body, call)
        return body

    return reshape


def system_role(body: Json, call: Call) -> Json:
    """`developer` means `system`, and most imitators know only that."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not any(m.get("role") == "developer" for m in messages):
        return body
    return body | {"messages": [m | {"role": "system"} if m.get("role") == "developer" else m for m in messages]}


def said_content(body: Json, call: Call) -> Json:
    """Content must be there, if only empty: beside tool calls OpenAI's clients send null."""
    messages = body.get("messages")
    if not isinstance(messages, list) or all(m.get("content") is not None for m in messages):
        return body
    return body | {"messages": [m if m.get("content") is not None else m | {"content": ""} for m in messages]}


def json_in_words(body: Json, call: Call) -> Json:
    """A JSON schema as an instruction, for vendors who can be held to JSON but not to a schema."""
    schema = asks.json_mode(body)[1]
    if schema is None:
        return body
    told = {"role": "system", "content": asks.json_instruction(schema)}
    return body | {"response_format": {"type": "json_object"}, "messages": [told, *body["messages"]]}


def at_most(name: str, limit: float) -> Reshape:
    """Cap a parameter whose range is narrower than OpenAI's."""

    def cap(body: Json, call: Call) -> Json:
        value = body.get(name)
        return body | {name: limit} if isinstance(value, int | float) and value > limit else body

    return cap


def with_default(name: str, value: Any, *, beside: str) -> Reshape:
    """Set a parameter the client left out whenever another one is there."""
    return lambda body, call: body | {name: value} if body.get(beside) and name not in body else body


def reasoning_back(body: Json, call: Call) -> Json:
    """Earlier reasoning returns under the name these vendors gave it."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not any("reasoning_content" in m for m in messages):
        return body
    return body | {"messages": [_renamed(m, "reasoning_content", "reasoning") for m in messages]}


def _renamed(message: Json, old: str, new: str) -> Json:
    if old not in message:
        return message
    return {new: message[old]} | {k: v for k, v in message.items() if k != old}


# Answers


def reasoning_name(piece: Json, call: Call, memo: Json) -> None:
    """`reasoning` is also given under the usual name, reasoning_content."""
    for _, message in spoken(piece):
        if isinstance(message.get("reasoning"), str) and "reasoning_content" not in message:
            message["reasoning_content"] = message["reasoning"]


def cached(*names: str) -> Mend:
    """Cached tokens that the vendor counts under a name of its own directly in usage."""

    def mend(piece: Json, call: Call, memo: Json) -> None:
        used = piece.get("usage")
        tokens = next((used[name] for name in names if isinstance(used.get(name), int)), None) if isinstance(used, dict) else None
        if isinstance(used, dict) and tokens is not None and "cached_tokens" not in (used.get("prompt_tokens_details") or {}):
            used["prompt_tokens_details"] = {**(used.get("prompt_tokens_details") or {}), "cached_tokens": tokens}

    return mend


def reasoning_counted(piece: Json, call: Call, memo: Json) -> None:
    """Completion tokens include reasoning: where they do not, the total tells so."""
    used = piece.get("usage")
    if not isinstance(used, dict):
        return
    prompt, completion, total = (used.get(f"{name}_tokens") or 0 for name in ("prompt", "completion", "total"))
    if not (reports.credible(prompt) and reports.credible(completion) and reports.credible(total)):
        return  # a difference of figures that are no counts says nothing
    told = used.get("completion_tokens_details")
    details = told if isinstance(told, dict) else {}
    missing = total - prompt - completion
    if missing > 0 and details.get("reasoning_tokens", missing) == missing:
        used["completion_tokens"] = completion + missing
        used["completion_tokens_details"] = {**details, "reasoning_tokens": missing}


def usage_in_choice(piece: Json, call: Call, memo: Json) -> None:
    """Usage that the last chunk's choice carries."""
    for choice, _ in spoken(piece):
        if isinstance(choice.get("usage"), dict):
            piece.setdefault("usage", None)
            piece["usage"] = reports.merged(piece["usage"], choice["usage"])
            del choice["usage"]


def filled(piece: Json, call: Call, memo: Json) -> None:
    """What a vendor leaves empty: id, kind of object, time and model. Usage of one token each is a placeholder, not a count."""
    chunk = any("delta" in choice for choice in piece.get("choices") or ())
    piece["id"] = piece.get("id") or f"chatcmpl-{call.id}"
    piece["object"] = piece.get("object") or ("chat.completion.chunk" if chunk else "chat.completion")
    piece["created"] = piece.get("created") or int(call.now)
    piece["model"] = piece.get("model") or call.asked or call.model
    if (piece.get("usage") or {}).get("total_tokens") == 1:
        del piece["usage"]
