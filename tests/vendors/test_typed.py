"""Fields that only one provider knows: a wrong type is refused with the field's name, not with an error of our language."""

import re
from typing import Any

import pytest
from test_conformance import call_of

from oneapi import vendors
from oneapi.wire import VendorError

CALLED = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def said(**more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "x", **more}, {"role": "user", "content": "so?"}]
    return {"messages": turns}


WRONG: list[tuple[str, str, dict[str, Any]]] = [
    ("anthropic", "thinking", {"thinking": "on"}),
    ("anthropic", "thinking.budget_tokens", {"thinking": {"type": "enabled", "budget_tokens": "many"}}),
    ("anthropic", "output_config", {"output_config": 7}),
    ("anthropic", "messages[].thinking_blocks", said(thinking_blocks="hm")),
    ("anthropic", "messages[].reasoning_details", said(reasoning_details=[None])),
    ("bedrock", "additionalModelRequestFields", {"additionalModelRequestFields": "x"}),
    ("bedrock", "messages[].thinking_blocks", said(thinking_blocks=7)),
    ("gemini", "extra_body", {"extra_body": "x"}),
    ("gemini", "extra_body.google", {"extra_body": {"google": 7}}),
    ("gemini", "generationConfig", {"generationConfig": "x"}),
    ("gemini", "messages[].extra_content", said(extra_content="x")),
    ("gemini", "messages[].extra_content.google", said(extra_content={"google": "x"})),
    ("gemini", "messages[].extra_content.google.parts", said(extra_content={"google": {"parts": [1]}})),
    ("gemini", "messages[].images", said(images=[{"url": "x"}])),
    ("gemini", "messages[].tool_calls[].extra_content", said(tool_calls=[CALLED | {"extra_content": 7}])),
    ("vertex", "generationConfig", {"generationConfig": 7}),
    ("ollama", "options", {"options": "x"}),
    ("cohere", "top_k", {"top_k": "x"}),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "field", "asked"), WRONG, ids=[f"{slug}-{field}" for slug, field, _ in WRONG])
def test_a_field_of_the_wrong_type_is_named(slug: str, field: str, asked: dict[str, Any]) -> None:
    row = vendors.by_slug(slug)
    call = call_of(row, "chat")
    call.body = {**call.body, "model": "claude-sonnet-4-5" if slug == "anthropic" else "m", **asked}
    call.model = call.body["model"]
    with pytest.raises(VendorError) as caught:
        vendors.guarded_build(row.protocols["chat"], call)
    named = re.sub(r"\[\d+\]", "[]", caught.value.message)  # the shared check names the position, the provider's own does not
    assert caught.value.kind == "bad_request" and named.startswith(f"{field} must be ")
