"""What OpenAI's imitators do differently: small changes to bodies and answers around the pass-through protocol."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from oneapi.vendors import asks, openai, pieces
from oneapi.vendors.contract import CODE_KINDS, Fail, Protocol, failure
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]
# A mend changes one answer or chunk in place. `memo` lives as long as the answer, for what must be remembered between chunks.
Mend = Callable[[Json, Call, Json], None]
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
        request = openai.build(replace(call, body=body(call.body, call)) if body else call)
        return place(request, call) if place else request

    def parse(reply: Reply, call: Call) -> Json | Reply:
        answer = reply.json()
        if isinstance(answer, dict):
            memo: Json = {}
            for mend in mends:
                mend(answer, call, memo)
        return openai.check(answer, call)

    def mended(events: Iterable[Event], call: Call) -> Iterator[Event]:
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

    def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
        return openai.stream(mended(events, call), call)

    return Protocol(build, parse, stream, fail=fail, native=not (mends or names))


def failing(codes: Mapping[str, str]) -> Fail:
    """Reads failed answers by a vendor's table besides OpenAI's; a code may be longer than its entry by dotted parts."""
    known = {**CODE_KINDS, **codes}

    def fail(reply: Reply, call: Call) -> VendorError:
        error = failure(reply, call, known)
        error.kind = pieces.kind_of(known, error.code or error.type, error.kind)
        return error

    return fail


def coded(body: Json, codes: Mapping[str, str]) -> VendorError:
    """The same for an object that came under HTTP 200."""
    known = {**CODE_KINDS, **codes}
    error = openai.fault(body, known)
    error.kind = pieces.kind_of(known, error.code or error.type, error.kind)
    return error


def faulty(codes: Mapping[str, str]) -> Mend:
    """Raises the error that an answer or chunk holds in its place."""

    def mend(piece: Json, call: Call, memo: Json) -> None:
        if piece.get("error"):
            raise coded(piece, codes)

    return mend


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
    details = used.get("completion_tokens_details") or {}
    missing = total - prompt - completion
    if missing > 0 and details.get("reasoning_tokens", missing) == missing:
        used["completion_tokens"] = completion + missing
        used["completion_tokens_details"] = {**details, "reasoning_tokens": missing}


def usage_from(*path: str) -> Mend:
    """Usage that a stream reports in another place, such as x_groq.usage."""

    def mend(piece: Json, call: Call, memo: Json) -> None:
        found: Any = piece
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        if isinstance(found, dict) and not piece.get("usage"):
            piece["usage"] = found

    return mend


def usage_in_choice(piece: Json, call: Call, memo: Json) -> None:
    """Usage that the last chunk's choice carries."""
    for choice, _ in spoken(piece):
        if isinstance(choice.get("usage"), dict):
            piece.setdefault("usage", None)
            piece["usage"] = piece["usage"] or choice["usage"]
            del choice["usage"]


def tool_finish(piece: Json, call: Call, memo: Json) -> None:
    """Tool calls are numbered one by one, and an answer that holds some finishes with `tool_calls`, not `stop`."""
    for choice, message in spoken(piece):
        ids = memo.setdefault(choice.get("index", 0), [])
        for tool in message.get("tool_calls") or ():
            if tool.get("id") and tool["id"] not in ids:
                ids.append(tool["id"])
            if "delta" in choice:
                tool["index"] = ids.index(tool["id"]) if tool.get("id") else max(len(ids) - 1, 0)
        if ids and choice.get("finish_reason") == "stop":
            choice["finish_reason"] = "tool_calls"


def refused_by(status: Callable[[Json], tuple[Any, str]], codes: Mapping[str, str] = CODE_KINDS) -> Mend:
    """An error inside HTTP 200: `status` finds code and message; no code, 0 and "" mean success."""

    def mend(piece: Json, call: Call, memo: Json) -> None:
        code, message = status(piece)
        if code in (None, 0, "", "0"):
            return
        raise VendorError(codes.get(str(code), "server"), message or f"error {code}", status=200, code=str(code))

    return mend


def filled(piece: Json, call: Call, memo: Json) -> None:
    """What a vendor leaves empty: id, kind of object, time and model. Usage of one token each is a placeholder, not a count."""
    chunk = any("delta" in choice for choice in piece.get("choices") or ())
    piece["id"] = piece.get("id") or f"chatcmpl-{call.id}"
    piece["object"] = piece.get("object") or ("chat.completion.chunk" if chunk else "chat.completion")
    piece["created"] = piece.get("created") or int(call.now)
    piece["model"] = piece.get("model") or call.asked or call.model
    if (piece.get("usage") or {}).get("total_tokens") == 1:
        del piece["usage"]


# SiliconFlow


def image_body(body: Json, call: Call) -> Json:
    """Images are counted in batches there and sized by another name."""
    names = {"size": "image_size", "n": "batch_size"}
    return {names.get(k, k): v for k, v in body.items()}


def image_list(piece: Json, call: Call, memo: Json) -> None:
    if "data" not in piece and isinstance(piece.get("images"), list):
        piece["data"] = piece["images"]
    piece.setdefault("created", int(call.now))


def rank_documents(piece: Json, call: Call, memo: Json) -> None:
    """Documents of a ranking as objects, where the vendor gives texts."""
    for result in piece.get("results") or ():
        if isinstance(result.get("document"), str):
            result["document"] = {"text": result["document"]}


def rank_usage(piece: Json, call: Call, memo: Json) -> None:
    """Tokens of a ranking that are counted in `meta`, as Cohere's first version did."""
    tokens = (piece.get("meta") or {}).get("tokens") or {}
    if "usage" not in piece and isinstance(tokens.get("input_tokens"), int):
        used = tokens["input_tokens"] + (tokens.get("output_tokens") or 0)
        piece["usage"] = {"prompt_tokens": used, "total_tokens": used}
