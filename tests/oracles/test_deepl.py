"""DeepL's SDK sends what our adapter sends, knows free keys as we do, and reads our recorded answers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deepl
import pytest

from oneapi import vendors
from oneapi.wire import Call, Reply
from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire" / "deepl"
ERRORS = [(403, deepl.AuthorizationException), (456, deepl.QuotaExceededException), (429, deepl.TooManyRequestsException)]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


@pytest.fixture
def client(recorder: Recorder) -> Iterator[deepl.DeepLClient]:
    deepl.http_client.max_network_retries = 0
    found = deepl.DeepLClient("k:fx", server_url=recorder.url, send_platform_info=False)
    yield found
    found.close()


def load(case: str, name: str) -> Any:
    return json.loads((WIRE / case / name).read_text("utf-8"))


@pytest.mark.parametrize("case", ["chat", "parts"])
def test_the_sdk_translates_as_we_do(case: str, client: deepl.DeepLClient, recorder: Recorder) -> None:
    ours, reply = load(case, "request.json"), load(case, "reply.json")
    recorder.answers({"translations": [{"billed_characters": 5} | row for row in reply["translations"]]})  # the SDK asks for them
    told = client.translate_text(**ours["body"])
    assert (recorder.last.method, recorder.last.path) == ("POST", "/v2/translate")
    assert recorder.last.headers["authorization"] == ours["headers"]["Authorization"]
    theirs = recorder.last.json()
    assert {name: theirs[name] for name in ours["body"]} == ours["body"]
    texts = "\n".join(row.text for row in told)
    assert texts == load(case, "golden.json")["choices"][0]["message"]["content"]


@pytest.mark.parametrize("key", ["k:fx", "k"])
def test_free_keys_go_to_the_free_host_as_the_sdk_sends_them(key: str) -> None:
    row = vendors.by_slug("deepl")
    body = {"model": "deepl-zh", "messages": [{"role": "user", "content": "Hello"}]}
    ours = row.protocols["chat"].build(Call("chat", body, "deepl-zh", row.base_url, key, vendor=row))
    assert ours.url == deepl.DeepLClient(key).server_url + "/v2/translate"


@pytest.mark.parametrize(("status", "kind"), ERRORS)
def test_the_sdk_sees_the_same_kinds_of_failure(status: int, kind: type[Exception], client: Any, recorder: Recorder) -> None:
    recorder.answers(load(f"error-{status}", "reply.json"), status=status)
    with pytest.raises(kind):
        client.translate_text("Hello", target_lang="ZH")


def test_what_is_left_is_what_the_sdk_reads(client: deepl.DeepLClient, recorder: Recorder) -> None:
    recorder.answers({"character_count": 180118, "character_limit": 1250000})
    told, row = client.get_usage().character, vendors.by_slug("deepl")
    call = Call("chat", {}, "", recorder.url, "k:fx", vendor=row)
    assert row.balance is not None
    ours = row.sign(row.balance.build(call), call)
    assert (ours.method, ours.url) == (recorder.last.method, recorder.url + recorder.last.path)
    assert told.limit is not None and told.count is not None
    assert row.balance.parse(Reply(200, {}, recorder.body), call) == (told.limit - told.count, "")
