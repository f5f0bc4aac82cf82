"""Claude's versions differ in what they take: thinking, sampling and limits follow the name of the model."""

from typing import Any

import pytest

from oneapi.vendors import messages_request
from oneapi.wire import Call

VERSIONS = [
    ("claude-2.1", (2, 1)), ("anthropic.claude-v2:1", (2, 1)), ("claude-instant-1.2", (1, 2)), ("claude-3-opus-20240229", (3, 0)),
    ("claude-3-7-sonnet-20250219", (3, 7)), ("claude-sonnet-4-20250514", (4, 0)), ("claude-opus-4-1@20250805", (4, 1)),
    ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", (4, 5)), ("anthropic.claude-opus-4-6-v1", (4, 6)),
    ("claude-4.6-opus", (4, 6)), ("claude-opus-5", (5, 0)), ("claude-haiku-5-5", (5, 5)),
    ("claude-mythos-preview", (99, 0)), ("kimi-k2", (0, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("model", "version"), VERSIONS)
def test_a_version_is_read_from_the_name(model: str, version: tuple[int, int]) -> None:
    assert messages_request.version(model) == version


ADAPTIVE = {"type": "adaptive", "display": "summarized"}
BODIES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    # Thinking: none before 3.7, by budget before 4.6, adaptive since.
    ("claude-3-5-haiku-20241022", {"reasoning_effort": "high"}, {"max_tokens": 8192}),
    ("claude-opus-4-5", {"reasoning_effort": "low"},
     {"max_tokens": 32000, "thinking": {"type": "enabled", "budget_tokens": 2048}}),
    ("claude-opus-4-5", {"reasoning": {"max_tokens": 500}},
     {"max_tokens": 32000, "thinking": {"type": "enabled", "budget_tokens": 1024}}),
    ("claude-opus-4-5", {"reasoning_effort": "none"}, {"max_tokens": 32000}),
    ("claude-opus-4-6", {"reasoning_effort": "xhigh"},
     {"max_tokens": 32000, "thinking": ADAPTIVE, "output_config": {"effort": "high"}}),
    ("claude-opus-4-7", {"reasoning_effort": "xhigh"},
     {"max_tokens": 32000, "thinking": ADAPTIVE, "output_config": {"effort": "xhigh"}}),
    ("claude-opus-5", {"reasoning_effort": "none"}, {"max_tokens": 32000, "thinking": {"type": "disabled"}}),
    ("claude-sonnet-5-5", {"reasoning_effort": "none"}, {"max_tokens": 32000, "thinking": {"type": "between_tools"}}),
    ("claude-opus-5-5", {"reasoning_effort": "none"}, {"max_tokens": 32000, "output_config": {"effort": "low"}}),
    # Sampling: clamped, not both of two since 4.1, none at all since 4.7 or beside thinking.
    ("claude-3-5-haiku-20241022", {"temperature": 2, "top_p": 0.5}, {"max_tokens": 8192, "temperature": 1, "top_p": 0.5}),
    ("claude-sonnet-4-5", {"temperature": 0.3, "top_p": 0.5, "top_k": 9}, {"max_tokens": 32000, "temperature": 0.3, "top_k": 9}),
    ("claude-opus-4-8", {"temperature": 0.3, "top_p": 0.5, "top_k": 9}, {"max_tokens": 32000}),
    ("claude-opus-4-5", {"temperature": 0.3, "thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 3000},
     {"max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 2000}}),
    ("claude-opus-4-5", {"temperature": 0.3, "thinking": {"type": "disabled"}},
     {"max_tokens": 32000, "thinking": {"type": "disabled"}, "temperature": 0.3}),
    # The client's own output_config joins what follows from other parameters.
    ("claude-opus-4-7", {"reasoning_effort": "low", "output_config": {"task_budget": 1}},
     {"max_tokens": 32000, "thinking": ADAPTIVE, "output_config": {"effort": "low", "task_budget": 1}}),
    # Unknown parameters travel, OpenAI's own that nobody here knows do not.
    ("kimi-k2", {"seed": 1, "logit_bias": {}, "container": "c", "stop": ["", "END"]},
     {"max_tokens": 4096, "container": "c", "stop_sequences": ["END"]}),
]  # fmt: skip


@pytest.mark.parametrize(("model", "asked", "body"), BODIES)
def test_parameters_fit_the_version(model: str, asked: dict[str, Any], body: dict[str, Any]) -> None:
    call = Call("chat", {"model": model, "messages": [{"role": "user", "content": "hi"}], **asked}, model, "", "")
    found = messages_request.body(call)
    assert found.pop("messages") == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    assert found == body
