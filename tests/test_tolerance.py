"""Identity and accounting are optional: an answer that lacks an id, a model or its usage is served all the same."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_wire import CASES, call_of, framing_of, load, replies

from oneapi import vendors
from oneapi.relay import framing
from oneapi.relay.delivered import text_of
from oneapi.vendors.contract import Vendor
from oneapi.wire import Call, Event, Reply, VendorError

# Names of fields that only identify an answer or count its tokens, in the spelling of any provider.
OPTIONAL = (
    "id", "Id", "responseId", "request_id", "RequestId", "task_id", "sid", "logId", "model", "modelVersion", "created",
    "created_at", "Created", "createTime", "role", "Role", "object", "usage", "Usage", "usageMetadata", "metadata", "metrics",
    "meta", "input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "total_tokens", "PromptTokens",
    "CompletionTokens", "TotalTokens", "inputTokens", "outputTokens", "totalTokens", "promptTokenCount", "candidatesTokenCount",
    "totalTokenCount", "prompt_eval_count", "eval_count", "total_duration", "billed_units", "tokens", "input_count",
    "output_count", "token_count", "input_token_count", "output_token_count", "stop_sequence", "latencyMs", "logprobs",
    "system_fingerprint", "citations", "search_results",
)  # fmt: skip
COUNTS = tuple(
    name for name in OPTIONAL if name.lower().endswith(("_tokens", "tokens", "_count", "tokencount", "usage", "metrics"))
)
# Fields of these names that are not identity alone: what they are needed for.
NEEDED = {
    "cloudflare/rerank": ("id",),  # the number of the document that was ranked
    "coze": ("id",),  # of a chat and its tool calls, by which the results are handed in
    # The pieces of a tool call are told apart by its id.
    "zhipu/tools_stream": ("id",),
    "vertex-compatible/stream-tools": ("id",),
    "gemini-openai": ("id",),
}
Change = Callable[[dict[str, Any], str], None]


def removed(found: dict[str, Any], name: str) -> None:
    del found[name]


def nulled(found: dict[str, Any], name: str) -> None:
    found[name] = None


def misread(found: dict[str, Any], name: str) -> None:
    """Give a count as a text that is not a number, which a provider's report must survive."""
    if name in COUNTS:
        found[name] = "many"


def holders(value: Any, name: str) -> Iterator[dict[str, Any]]:
    """Return each object that holds the field, however deep it is, but not below the field or in a tool's arguments."""
    if isinstance(value, dict):
        if name in value:
            yield value
        for key, inner in value.items():
            if key not in (name, "input", "args", "arguments"):
                yield from holders(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from holders(inner, name)


def without(value: Any, name: str, change: Change) -> Iterator[Any]:
    """Return the value with the field changed everywhere, then with it changed in one place at a time."""
    count = len(list(holders(value, name)))
    for which in (range(count), *([n] for n in range(count) if count > 1)):
        changed = copy.deepcopy(value)
        places = list(holders(changed, name))
        for number in which:
            change(places[number], name)
        yield changed


def told(outcome: Any) -> Any:
    """What a client reads in an answer: texts, tools with their arguments and finish reasons, without any identity."""
    if isinstance(outcome, Reply):
        return outcome.body
    if isinstance(outcome, list):
        choices = [choice for piece in outcome for choice in piece.get("choices") or ()]
        reasons = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
        return "".join(text_of({"choices": [choice]}) for choice in choices), reasons
    if "choices" in outcome:
        return text_of(outcome), [choice.get("finish_reason") for choice in outcome["choices"]]
    return bare(outcome.get("data") or outcome.get("results") or outcome)


def bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items() if k not in (*OPTIONAL, "index")}
    return [bare(item) for item in value] if isinstance(value, list) else value


def answered(call: Call, events: list[Event]) -> Any:
    try:
        return list(vendors.guarded_stream(call.vendor.protocols[call.kind], copy.deepcopy(events), copy.deepcopy(call)))
    except VendorError as error:
        return f"{error.kind}: {error.message}"


def parsed(call: Call, reply: Reply, body: Any) -> Any:
    changed = Reply(reply.status, reply.headers, json.dumps(body).encode())
    try:
        return vendors.guarded_parse(call.vendor.protocols[call.kind], changed, copy.deepcopy(call))
    except VendorError as error:
        return f"{error.kind}: {error.message}"


def served(case: Path) -> tuple[Call, str, Reply] | None:
    """The call of a case that ends in an answer, with its last reply and the framing of that; None for failures."""
    call, all_told = call_of(case), list(replies(case))
    golden = load(case / "golden.json") if (case / "golden.json").exists() else {"error": ""}
    if not all_told or (isinstance(golden, dict) and "error" in golden):
        return None
    vendors.guarded_build(call.vendor.protocols[call.kind], call)
    for name, reply in all_told[:-1]:
        if not name:
            vendors.guarded_parse(call.vendor.protocols[call.kind], reply, call)
    return call, *all_told[-1]


def events_of(name: str, body: bytes) -> list[Event]:
    """The events of a recorded stream; a case holds WebSocket messages as a list."""
    if name == "websocket":
        return [Event(message) for message in json.loads(body)]
    return list(framing.events(name, [body]))


def like_openai(row: Vendor) -> bool:
    """Rows that speak OpenAI's protocol hand on the report as it came; the meter reads it."""
    return "chat" in row.protocols and row.protocols["chat"].build.__module__ in (
        "oneapi.vendors.openai",
        "oneapi.vendors.quirks",
    )


def names_for(case: Path) -> list[str]:
    needed = (*NEEDED.get(case.parent.name, ()), *NEEDED.get(f"{case.parent.name}/{case.name}", ()))
    return [name for name in OPTIONAL if name not in needed]


@pytest.mark.parametrize("change", [removed, nulled, misread])
@pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.name}/{case.name}" for case in CASES])
def test_an_answer_needs_no_identity_and_no_usage(case: Path, change: Change) -> None:
    found = served(case)
    if found is None:
        return
    call, framing_name, reply = found
    if change is misread and (call.kind != "chat" or like_openai(call.vendor)):
        return
    if framing_name:
        request = vendors.guarded_build(call.vendor.protocols[call.kind], copy.deepcopy(call))
        events = events_of(framing_of(request, call.vendor.protocols[call.kind], framing_name), reply.body)
        expected = told(answered(call, events))
        for name in names_for(case):
            for data in without([event.data for event in events], name, change):
                changed = [Event(each, event.name) for each, event in zip(data, events, strict=True)]
                outcome = answered(call, changed)
                assert not isinstance(outcome, str), f"{name}: {outcome}"
                assert told(outcome) == expected, name
        return
    try:
        body = reply.json()
    except ValueError:
        return
    expected = told(parsed(call, reply, body))
    for name in names_for(case):
        for changed_body in without(body, name, change):
            outcome = parsed(call, reply, changed_body)
            assert not isinstance(outcome, str), f"{name}: {outcome}"
            assert told(outcome) == expected, name


# How providers with a protocol of their own call an answer that was cut, by the name of the field that says so.
CUT = {
    "stop_reason": "max_tokens", "stopReason": "max_tokens", "finishReason": "MAX_TOKENS", "done_reason": "length",
    "FinishReason": "length",
}  # fmt: skip
CUT_OF = {"cohere": ("finish_reason", "MAX_TOKENS"), "dashscope": ("finish_reason", "length")}


def reason_of(case: Path, value: Any) -> tuple[str, str] | None:
    """The field of an answer or event that tells why it ended, and the provider's word for an answer that was cut."""
    known = CUT_OF.get(case.parent.name)
    pairs = [known] if known else list(CUT.items())
    return next(((name, word) for name, word in pairs if any(each[name] for each in holders(value, name))), None)


def with_reason(value: Any, name: str, reason: str) -> Any:
    changed = copy.deepcopy(value)
    for each in holders(changed, name):
        if each[name] not in (None, "", "null"):
            each[name] = reason
    return changed


def reasons_told(case: Path, change: Callable[[Any, tuple[str, str]], Any]) -> Any:
    """What a case is answered with once its ending is changed; None for a case whose provider names no ending."""
    found = served(case)
    if found is None or found[0].kind != "chat" or found[0].vendor.protocols["chat"].native:
        return None
    call, framing_name, reply = found
    if framing_name:
        request = vendors.guarded_build(call.vendor.protocols[call.kind], copy.deepcopy(call))
        events = events_of(framing_of(request, call.vendor.protocols[call.kind], framing_name), reply.body)
        data = [event.data for event in events]
        ending = reason_of(case, data)
        if ending is None:
            return None
        changed = change(data, ending)
        return answered(call, [Event(each, event.name) for each, event in zip(changed, events, strict=True)])
    try:
        body = reply.json()
    except ValueError:  # the frames of a WebSocket
        return None
    ending = reason_of(case, body)
    return None if ending is None else parsed(call, reply, change(body, ending))


@pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.name}/{case.name}" for case in CASES])
def test_an_answer_that_was_cut_ends_with_length_whatever_it_holds(case: Path) -> None:
    outcome = reasons_told(case, lambda value, ending: with_reason(value, *ending))
    if outcome is not None:
        assert set(told(outcome)[1]) == {"length"}, outcome


EMPTY: dict[str, Any] = {
    "anthropic": {"type": "message", "content": [], "stop_reason": "made_up"},
    "bedrock": {"output": {"message": {"content": []}}, "stopReason": "made_up"},
    "gemini": {"candidates": [{"content": {"parts": []}, "finishReason": "MADE_UP"}]},
    "palm": {"candidates": [{"finishReason": "OTHER"}]},
    "vertex": {"candidates": [{"content": {}, "finishReason": "NO_IMAGE"}]},
    "ollama": {"message": {"content": "", "thinking": "Hm."}, "done": True, "done_reason": "unload"},
    "cohere": {"message": {"content": []}, "finish_reason": "MADE_UP"},
    "dashscope": {"output": {"choices": [{"message": {"content": ""}, "finish_reason": "made_up"}]}},
    "tencent": {"Response": {"Choices": [{"Message": {"Content": ""}, "FinishReason": "made_up"}]}},
    "baidu": {"result": "", "finish_reason": "made_up"},
    "cloudflare": {"result": {"response": "", "finish_reason": "made_up"}, "success": True},
    "replicate": {"status": "succeeded", "output": None},
    "coze": {"code": 0, "data": []},
}  # fmt: skip


@pytest.mark.parametrize("slug", EMPTY)
def test_an_answer_that_was_given_up_is_a_failure_and_not_empty(slug: str) -> None:
    row = next(row for row in vendors.REGISTRY.values() if row.slug == slug)
    call = Call("chat", {"model": "m", "messages": [{"role": "user", "content": "hi"}]}, "m", "", "", id="test", vendor=row)
    assert str(parsed(call, Reply(200, {}, b""), EMPTY[slug])).startswith("server: ")
