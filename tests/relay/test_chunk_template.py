"""Chunk templates spare work and change nothing: a stream looked at with them and without them is found to say the same."""

import json
from itertools import accumulate, pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneapi.relay import chunk_template
from oneapi.relay.passthrough import Watch

FOUND = ("said", "report", "final", "ended", "marked", "media", "delivered", "torn", "surplus", "plain", "shown")
PIECES = ("a", " b", '"', "\\", "\n", "data: [DONE]", '"}', "},", "usage", '{"error":1}', "語", "😀", '"finish_reason":"stop"')
texts = st.lists(st.sampled_from(PIECES), min_size=1, max_size=2).map("".join)
padding = st.one_of(st.none(), st.sampled_from(["", "xY12", "abc", 'a"b']))


def chunk(delta: dict[str, Any], reason: Any = None, pad: str | None = None, **more: Any) -> dict[str, Any]:
    made = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": None} | more
    return made if pad is None else made | {"obfuscation": pad}


chunks = st.one_of(
    st.builds(lambda text, pad: chunk({"content": text}, pad=pad), texts, padding),
    st.builds(lambda text: chunk({"reasoning_content": text}), texts),
    st.builds(lambda text: chunk({"content": text}, logprobs=None, audio=None), texts),
    st.builds(lambda text: chunk({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}), texts),
    st.builds(lambda text, reason: chunk({"content": text}, reason), texts, st.sampled_from(["stop", "", "error"])),
    st.builds(lambda n: chunk({"content": "x"}, usage={"prompt_tokens": n, "completion_tokens": 1}), st.integers(0, 9)),
    st.sampled_from([chunk({"role": "assistant"}), chunk({"audio": {"data": "AA"}}), {"error": {"message": "no"}}, chunk({})]),
)


def written(chunk: dict[str, Any], tight: bool, end: str) -> bytes:
    text = json.dumps(chunk, separators=(",", ":") if tight else None, ensure_ascii=not tight)
    return f"data: {text}{end}".encode()


ends = st.sampled_from([*["\n\n"] * 6, "\n", "\r\n\r\n"])
# Runs of like chunks, as models write them: each but the first may meet the template of the one before.
runs = st.builds(lambda one, n, tight, end: [written(one, tight, end)] * n, chunks, st.integers(1, 4), st.booleans(), ends)


def seen(pieces: list[bytes], trials: int) -> tuple[Any, ...]:
    watch = Watch(SimpleNamespace(body={"n": 2}), None, lambda error: None)  # type: ignore[arg-type]
    watch._trials = trials
    for piece in pieces:
        watch.see(piece)
    error = watch.error and (watch.error.kind, str(watch.error))
    return *(getattr(watch, name) for name in FOUND), error, watch._rest, watch._unfinished


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(runs, min_size=1, max_size=4), st.lists(st.integers(0, 2000), max_size=2))
def test_a_stream_says_the_same_with_templates_and_without(runs: list[list[bytes]], cuts: list[int]) -> None:
    pieces = [event for run in runs for event in run]
    whole = b"".join(pieces)
    at = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole)), *accumulate(map(len, pieces))})
    for cut in (pieces, [whole[a:b] for a, b in pairwise(at)]):
        assert seen(cut, trials=8) == seen(cut, trials=0)


def test_a_chunk_like_the_one_before_is_recognized() -> None:
    for more in ({}, {"pad": "xY12"}):
        template = chunk_template.of(written(chunk({"content": "one"}, **more), True, "\n\n"))
        assert template is not None
        more = more and {"pad": "z"}
        assert chunk_template.text(written(chunk({"content": " two\n"}, **more), True, "\n\n"), template) == b" two\\n"


def test_a_text_that_is_not_json_is_not_recognized() -> None:
    event = written(chunk({"content": "one"}), True, "\n\n")
    template = chunk_template.of(event)
    assert template is not None and chunk_template.text(event, template) == b"one"
    for text in (b"o\ne", b"one\\", b'o"e'):
        assert chunk_template.text(event.replace(b"one", text), template) is None


def test_usage_that_comes_again_after_the_end_is_final() -> None:
    used = written(chunk({"content": "x"}, usage={"prompt_tokens": 3, "completion_tokens": 1}), True, "\n\n")
    end = written(chunk({}, "stop"), True, "\n\n")
    pieces = [used, used, end, end.replace(b'"index":0', b'"index":1'), used]
    found = seen(pieces, trials=8)
    assert found == seen(pieces, trials=0) and found[FOUND.index("final")]


def test_bytes_that_end_within_padding_are_not_a_chunk() -> None:
    event = written(chunk({"content": "one"}, pad="xY12"), True, "\n\n")
    template = chunk_template.of(event)
    assert template is not None and template[2]
    assert all(chunk_template.text(event[:n], template) is None for n in range(len(event)))
    assert chunk_template.text(event + event, template) is None
