"""Images named by address: they reach providers that want bytes, within limits, once a request, and nothing else is fetched."""

import gc
import gzip
import json
import socket
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import gevent
import pytest
from asks import post, until
from fake_vendor import FakeVendor, Say, chat, stream
from flask import Flask
from gevent.event import Event

from oneapi.relay import media_limits
from oneapi.relay.media import Download
from oneapi.relay.media_limits import MediaLimits, Memory
from oneapi.relay.outgoing import encode, in_pieces, plan_of
from oneapi.relay.refusal import Refused
from oneapi.wire import DataUrl, Encoded, Request

pytestmark = pytest.mark.usefixtures("books")

PNG = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(100)
MB = 1 << 20
HOST = "http://pictures.invalid"
GOOGLE = {"candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}, "finishReason": "STOP"}],
          "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6}}  # fmt: skip
CONVERSE = {"output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}}, "stopReason": "end_turn",
            "usage": {"inputTokens": 5, "outputTokens": 1, "totalTokens": 6}}  # fmt: skip
CLAUDE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [{"type": "text", "text": "Hi"}],
          "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 1}}  # fmt: skip
OLLAMA = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop",
          "prompt_eval_count": 5, "eval_count": 1}  # fmt: skip
# Every row that wants bytes: the channel, the model, what its provider answers.
COMPATIBLE = json.dumps({"protocol": "openai"})
FAMILIES: dict[str, tuple[dict[str, Any], str, Any]] = {
    "gemini": ({"type": 24}, "gemini-2.5-flash", GOOGLE),
    "gemini-compatible": ({"type": 24, "config": COMPATIBLE}, "gemini-2.5-flash", chat()),
    "gemini-openai": ({"type": 51}, "gemini-2.5-flash", chat()),
    "palm": ({"type": 11}, "gemini-2.5-flash", GOOGLE),
    "vertex-gemini": ({"type": 42, "key": "us-east5|project|AIzaKey"}, "gemini-2.5-flash", GOOGLE),
    "vertex-claude": ({"type": 42, "key": "us-east5|project|AIzaKey"}, "claude-sonnet-4-5", CLAUDE),
    "vertex-compatible": ({"type": 42, "key": "AIzaKey", "config": json.dumps({"protocol": "openai", "region": "us-east5",
                           "vertex_ai_project_id": "p"})}, "meta/llama-4", chat()),
    "bedrock": ({"type": 33, "key": "AKIA|secret|us-west-2"}, "amazon.nova-lite-v1:0", CONVERSE),
    "bedrock-invoke": ({"type": 33, "key": "AKIA|secret|us-west-2", "config": json.dumps({"api": "invoke"})},
                       "claude-3-haiku-20240307", CLAUDE),
    "bedrock-compatible": ({"type": 33, "key": "aws-key", "config": json.dumps({"protocol": "openai", "region": "us-west-2"})},
                           "openai.gpt-oss-120b-1:0", chat()),
    "ollama": ({"type": 30}, "llava", OLLAMA),
    "ollama-compatible": ({"type": 30, "config": COMPATIBLE}, "llava", chat()),
}  # fmt: skip


@pytest.fixture
def pictures() -> Iterator[FakeVendor]:
    """The server of the images. The gateway reaches it as its proxy for them, since it fetches nothing from loopback."""
    fake = FakeVendor().always(Say(PNG, content_type="image/png"))
    yield fake
    fake.close()


@pytest.fixture
def limits() -> dict[str, str]:
    """Variables of the environment that a test sets by a parameter."""
    return {}


@pytest.fixture
def settings_of_environment(tmp_path: Any, pictures: FakeVendor, limits: dict[str, str]) -> dict[str, str]:
    own = {"INSTANCE_PATH": str(tmp_path / "instance"), "LOG_DIR": "", "SESSION_SECRET": "a test's own secret"}
    return own | {"USER_CONTENT_REQUEST_PROXY": pictures.url} | limits


@pytest.fixture
def used(app: Flask) -> Callable[[], tuple[int, int, int]]:
    """Bytes of memory that count as used, free slots, and accounts with requests."""
    found: MediaLimits = app.extensions["oneapi.relay"].downloads.limits
    return lambda: (found.memory.used, found.slots.counter, len(found.accounts))


@pytest.fixture(autouse=True)
def _nothing_is_kept(used: Callable[[], tuple[int, int, int]], limits: dict[str, str]) -> Iterator[None]:
    yield
    assert until(lambda: used() == (0, int(limits.get("USER_CONTENT_FETCHES", 32)), 0), 5), used()


def body(*urls: str, model: str = "llava", **more: Any) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]
    return {"model": model, "messages": [{"role": "user", "content": [{"type": "text", "text": "Which?"}, *parts]}]} | more


def many(count: int) -> list[str]:
    return [f"{HOST}/{number}.png" for number in range(count)]


def png(size: int) -> Say:
    return Say(PNG + bytes(size - len(PNG)), content_type="image/png")


@pytest.fixture
def ollama(channel: Callable[..., int], vendor: FakeVendor) -> FakeVendor:
    channel(type=30, models="llava")
    return vendor.always(OLLAMA)


@pytest.fixture
def look(say: Callable[..., Any]) -> Callable[..., Any]:
    """Ask about images."""
    return lambda *urls, **more: say(**body(*urls), **more)


# -- who gets what ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_provider_that_wants_bytes_gets_them(
    family: str, say: Callable[..., Any], channel: Callable[..., int], vendor: FakeVendor, pictures: FakeVendor, setting: Any
) -> None:
    values, model, answer = FAMILIES[family]
    setting(ModelRatio={model: 1})
    channel(models=model, **values)
    vendor.always(answer)
    got = say(**body(f"{HOST}/a.png?signed=yes", f"{HOST}/b.png", model=model))
    assert got.status_code == 200, got.json
    sent, data = vendor.asked[0].body.decode(), b64encode(PNG).decode()
    whole = f'"data:image/png;base64,{data}"' if "compatible" in family or family == "gemini-openai" else f'"{data}"'
    assert sent.count(whole) == 2 and HOST not in sent
    assert isinstance(vendor.asked[0].json, dict)
    assert {(asked.method, asked.headers["accept-encoding"]) for asked in pictures.asked} == {("GET", "identity")}
    assert len(pictures.asked) == 2


def test_the_limits_hold_for_every_row_that_wants_bytes(
    say: Callable[..., Any], channel: Callable[..., int], vendor: FakeVendor, pictures: FakeVendor, setting: Any
) -> None:
    setting(ModelRatio={f"m{number}": 1 for number in range(len(FAMILIES))})
    for number, (values, model, _) in enumerate(FAMILIES.values()):
        channel(models=f"m{number}", model_mapping=json.dumps({f"m{number}": model}), **values)
        got = say(**body(*many(21), model=f"m{number}"))
        assert got.status_code == 400 and got.json["error"]["code"] == "too_many_images"
    assert pictures.asked == [] and vendor.asked == []


def test_nothing_is_fetched_for_a_provider_that_reads_addresses(
    say: Callable[..., Any], channel: Callable[..., int], vendor: FakeVendor, pictures: FakeVendor
) -> None:
    channel()
    channel(type=14, models="claude-sonnet-4-5")
    assert say(**body(*many(60), model="gpt-4o")).status_code == 200
    vendor.says(CLAUDE)
    assert say(**body(*many(60), model="claude-sonnet-4-5")).status_code == 200
    assert pictures.asked == [] and vendor.asked[1].json["messages"][0]["content"][1]["source"]["type"] == "url"


def test_nothing_is_fetched_before_a_request_is_admitted(
    client: Any, say: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor, person: Callable[..., Any], setting: Any
) -> None:
    asked = body(*many(2))
    assert client.post("/v1/chat/completions", json=asked, headers={"Authorization": "Bearer sk-wrong"}).status_code == 401
    setting(ModelRatio={"llava": 1})
    assert say(who=person("poor", quota=0), **asked).status_code == 429
    limited = person("limited", models="other")
    assert say(who=limited, **asked).status_code == 403
    assert say(**asked | {"messages": [*asked["messages"], {"role": "tool", "content": "x"}]}).status_code == 400
    assert pictures.asked == [] and ollama.asked == []


def test_data_urls_are_not_fetched(look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor) -> None:
    assert look(*[f"data:image/png;base64,{b64encode(PNG).decode()}"] * 30).status_code == 200
    assert pictures.asked == [] and len(ollama.asked[0].json["messages"][0]["images"]) == 30


def test_a_private_address_is_never_fetched(
    app: Flask, look: Callable[..., Any], ollama: FakeVendor, vendor: FakeVendor, alice: Any, balance: Any
) -> None:
    app.extensions["oneapi"].config.user_content_request_proxy = ""
    before = balance(alice.id)
    got = look(f"{vendor.url}/secret.png")
    assert got.status_code == 400 and "could not be fetched" in got.json["error"]["message"]
    assert vendor.asked == [] and balance(alice.id) == before


# -- once a request -----------------------------------------------------------------------------------------------------


def test_an_address_that_is_named_twice_is_fetched_once(
    look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor
) -> None:
    assert look(f"{HOST}/a.png", f"{HOST}/b.png", f"{HOST}/a.png").status_code == 200
    assert sorted(asked.path.rpartition("/")[2] for asked in pictures.asked) == ["a.png", "b.png"]
    assert ollama.asked[0].json["messages"][0]["images"] == [b64encode(PNG).decode()] * 3


@pytest.mark.parametrize("streaming", [False, True])
def test_a_retry_on_another_channel_fetches_nothing_again(
    look: Callable[..., Any], channel: Callable[..., int], vendor: FakeVendor, pictures: FakeVendor, setting: Any, streaming: bool
) -> None:
    for _ in range(3):
        channel(type=30, models="llava", config=COMPATIBLE)
    setting(RetryTimes=2)
    vendor.says(Say(b"oops", status=500), Say(b"oops", status=500), stream() if streaming else chat())
    got = look(f"{HOST}/a.png", f"{HOST}/b.png", stream=streaming)
    assert got.status_code == 200 and got.data
    assert len(pictures.asked) == 2 and len({asked.body for asked in vendor.asked}) == 1 and len(vendor.asked) == 3
    assert vendor.asked[0].body.count(b64encode(PNG)) == 2


def test_nothing_waits_for_the_garbage_collector(
    look: Callable[..., Any], ollama: FakeVendor, channel: Callable[..., int], pictures: FakeVendor, setting: Any
) -> None:
    """Frames stay referred to by tracebacks, such as that of a name which nobody knows: of the images, of a provider."""
    channel(type=30, models="llava", base_url="http://vendor.invalid", priority=1)
    setting(RetryTimes=1)
    gc.collect()
    gc.disable()
    try:
        pictures.says(Say(PNG), Say(JPEG), Say(PNG), Say(b"<html>"))
        assert look(*many(2)).status_code == 200 and look(*many(2)).status_code == 400
        kept = [item.ascii for item in gc.get_objects() if isinstance(item, Encoded)]
        kept += [item.encoded for item in gc.get_objects() if isinstance(item, Download)]
        assert not any(kept)
    finally:
        gc.enable()


def test_files_are_let_go_when_a_stream_begins(
    look: Callable[..., Any], served: str, alice: Any, channel: Callable[..., int], vendor: FakeVendor, used: Any
) -> None:
    channel(type=30, models="llava")
    lines = [json.dumps(OLLAMA | {"done": False}).encode() + b"\n"] * 4 + [json.dumps(OLLAMA).encode() + b"\n"]
    vendor.says(tuple(lines), pause=0.3, content_type="application/x-ndjson")
    running = gevent.spawn(post, served, alice.key, body(f"{HOST}/a.png", stream=True))
    vendor.was_asked()
    assert until(lambda: vendor.in_flight and used()[0] == 0)
    gc.collect()
    assert not any(isinstance(kept, DataUrl) for kept in gc.get_objects()) and not running.ready()
    assert running.get(timeout=30).status == 200


# -- limits -------------------------------------------------------------------------------------------------------------


def test_a_request_may_name_twenty_images(look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor) -> None:
    got = look(*many(21), headers={"Accept-Language": "zh"})
    assert got.status_code == 400 and "最多 20 个" in got.json["error"]["message"]
    got = look(*[f"{HOST}/same.png"] * 21)
    assert got.json["error"]["code"] == "too_many_images" and got.json["error"]["param"] == "messages"
    assert "names 21 images by address; at most 20 are fetched" in got.json["error"]["message"]
    assert pictures.asked == []
    assert look(*many(20)).status_code == 200 and len(pictures.asked) == 20


@pytest.mark.parametrize("limits", [{"USER_CONTENT_MAX_FILES": "0"}])
def test_fetching_can_be_turned_off(look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor) -> None:
    assert look(*many(1)).json["error"]["code"] == "too_many_images" and pictures.asked == []


@pytest.mark.parametrize("limits", [{"USER_CONTENT_MAX_FILE_MB": "1"}])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_may_be_so_large(look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor, chunked: bool) -> None:
    def of(size: int) -> Say:
        whole = png(size)
        return Say(pieces=(whole.body,), content_type="image/png") if chunked else whole

    pictures.says(of(MB), of(MB + 1))
    assert look(*many(1)).status_code == 200
    got = look(*many(1))
    assert got.status_code == 400 and got.json["error"]["code"] == "images_too_large"
    assert "is larger than 1 MB" in got.json["error"]["message"]


@pytest.mark.parametrize("limits", [{"USER_CONTENT_MAX_MB": "2"}])
@pytest.mark.parametrize("urls", [many(2), [f"{HOST}/same.png"] * 2], ids=["two", "twice"])
def test_the_files_of_a_request_may_be_so_large_together(
    look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor, urls: list[str]
) -> None:
    pictures.always(png(MB))
    assert look(*urls).status_code == 200
    pictures.always(png(MB + 1))
    got = look(*urls)
    assert got.status_code == 400 and got.json["error"]["code"] == "images_too_large"
    assert "larger than 2 MB together" in got.json["error"]["message"]


def test_a_compressed_image_is_bounded_by_what_comes_out(
    look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor
) -> None:
    small, bomb = gzip.compress(PNG), gzip.compress(PNG + bytes(64 * MB))
    pictures.says(Say(small, headers={"Content-Encoding": "gzip"}, content_type="image/png"))
    assert look(*many(1)).status_code == 200
    assert ollama.asked[0].json["messages"][0]["images"] == [b64encode(PNG).decode()]
    pictures.says(Say(bomb, headers={"Content-Encoding": "gzip"}, content_type="image/png"))
    assert look(*many(1)).json["error"]["code"] == "images_too_large"
    pictures.says(Say(small, headers={"Content-Encoding": "gzip, gzip"}, content_type="image/png"))
    assert "compression (gzip, gzip) cannot be read" in look(*many(1)).json["error"]["message"]


@pytest.mark.parametrize("limits", [{"USER_CONTENT_REQUEST_TIMEOUT": "1"}])
def test_a_server_that_drips_holds_nothing(look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor, used: Any) -> None:
    pictures.always(Say(pieces=(PNG, *[b"x"] * 80), pause=0.05, content_type="image/png"))  # whole after 4 seconds
    got = look(*many(6))
    assert got.status_code == 400 and "did not arrive within 1 seconds" in got.json["error"]["message"]
    assert used() == (0, 32, 0) and ollama.asked == []


@pytest.mark.parametrize("limits", [{"USER_CONTENT_REQUEST_TIMEOUT": "1", "USER_CONTENT_FETCHES_PER_USER": "1"}])
def test_the_time_is_that_of_all_images(look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor) -> None:
    pictures.always(Say(pieces=(PNG, b"", b"x", b"x"), pause=0.15, content_type="image/png"))  # whole after 0.6 seconds
    got = look(*many(2))
    assert got.status_code == 400 and "did not arrive within 1 seconds" in got.json["error"]["message"]
    assert ollama.asked == []


@pytest.fixture
def held(pictures: FakeVendor) -> Iterator[Event]:
    """The image server answers once this is set."""
    event = Event()
    pictures.always(Say(PNG, content_type="image/png", hold=event))
    yield event
    event.set()


def test_an_account_fetches_four_at_a_time(
    look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor, held: Event, bob: Any, used: Any
) -> None:
    jobs = [gevent.spawn(look, *many(10)) for _ in range(2)]
    pictures.was_asked(4)
    others = gevent.spawn(look, *many(10), who=bob)
    pictures.was_asked(8)
    assert not until(lambda: len(pictures.asked) > 8, 0.3) and used()[1:] == (24, 2)
    held.set()
    assert [job.get(timeout=30).status_code for job in (*jobs, others)] == [200] * 3 and len(pictures.asked) == 30


def test_downloads_end_when_the_client_leaves(
    served: str, alice: Any, ollama: FakeVendor, pictures: FakeVendor, held: Event, used: Any, charges: Any
) -> None:
    place, asked = urlsplit(served), json.dumps(body(*many(6))).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sk-{alice.key}\r\n"
    with socket.create_connection((place.hostname, place.port)) as client:
        client.sendall(f"{head}Content-Length: {len(asked)}\r\n\r\n".encode() + asked)
        pictures.was_asked(4)
        assert used()[1:] == (28, 1)
    assert until(lambda: used() == (0, 32, 0))
    assert len(pictures.asked) == 4 and ollama.asked == [] and charges() == []


@pytest.mark.parametrize(
    ("limits", "status", "words"),
    [
        ({"USER_CONTENT_FETCHES_PER_USER": "2"}, 429, "Your account has 2 downloads of images running"),
        ({"USER_CONTENT_FETCHES": "2"}, 503, "The gateway is downloading as many images as it may"),
    ],
)
def test_a_download_that_gets_no_turn_is_refused(
    look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor, held: Event, monkeypatch: pytest.MonkeyPatch,
    status: int, words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(media_limits, "WAIT", 0.2)
    first = gevent.spawn(look, *many(2))
    pictures.was_asked(2)
    got = look(*many(1))
    assert got.status_code == status and got.json["error"]["code"] == "images_busy" and got.headers["Retry-After"] == "5"
    assert words in got.json["error"]["message"] and len(pictures.asked) == 2
    held.set()
    assert first.get(timeout=30).status_code == 200


@pytest.mark.parametrize("limits", [{"USER_CONTENT_MEMORY_MB": "12", "USER_CONTENT_MAX_MB": "3"}])
def test_memory_of_the_process_is_bounded_and_shared(
    look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor, bob: Any, monkeypatch: pytest.MonkeyPatch, used: Any
) -> None:
    """12 MB, of which an account may have 8: one image of 3 MB takes 8 MB while the provider works on it."""
    monkeypatch.setattr(media_limits, "WAIT", 0.2)
    pictures.always(png(3 * MB))
    answer = Event()
    ollama.always(OLLAMA, hold=answer)
    running = gevent.spawn(look, *many(1))
    ollama.was_asked(1)
    assert used()[0] == 8 * MB
    got = look(*many(1))
    assert got.status_code == 429 and "your account's other requests" in got.json["error"]["message"]
    got = look(*many(1), who=bob)
    assert got.status_code == 503 and "all the memory that the gateway has" in got.json["error"]["message"]
    assert used()[0] == 8 * MB and len(ollama.asked) == 1
    monkeypatch.setattr(media_limits, "WAIT", 10)
    waiting = gevent.spawn(look, *many(1), who=bob)
    assert until(lambda: len(pictures.asked) == 4)
    answer.set()
    assert running.get(timeout=30).status_code == 200 and waiting.get(timeout=30).status_code == 200


@pytest.mark.parametrize("limits", [{"USER_CONTENT_MEMORY_MB": "12", "USER_CONTENT_MAX_MB": "3"}])
def test_requests_that_want_all_the_memory_are_served_one_after_the_other(
    look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor
) -> None:
    """Each takes all that an account may have: none may wait for what another that waits holds."""
    pictures.always(Say(pieces=(png(MB // 2).body,) + (bytes(MB // 2),), pause=0.02, content_type="image/png"))
    jobs = [gevent.spawn(look, *many(3)) for _ in range(5)]
    assert [job.get(timeout=60).status_code for job in jobs] == [200] * 5


@pytest.mark.parametrize("limits", [{"USER_CONTENT_MEMORY_MB": "4"}])
def test_a_request_that_never_fits_is_refused_at_once(
    look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor
) -> None:
    pictures.always(png(MB + 1))
    got = look(*many(1))
    assert got.status_code == 400 and got.json["error"]["code"] == "images_too_large"


def test_memory_is_given_in_order_and_lost_by_nobody() -> None:
    memory = Memory(10)
    assert memory.take(1, 8, 0) and not memory.take(1, 3, 0) and memory.used == 8
    large, small = gevent.spawn(memory.take, 1, 9, 20), gevent.spawn(memory.take, 1, 1, 20)
    killed = gevent.spawn(memory.take, 1, 1, 20)
    gevent.sleep(0)
    assert not (large.ready() or small.ready())  # 1 would fit, but whoever wants 9 has waited longer
    killed.kill()
    memory.give(8)
    assert large.get(timeout=5) and small.get(timeout=5) and memory.used == 10
    waiting = gevent.spawn(memory.take, 1, 10, 20)
    gevent.sleep(0)
    waiting.kill(block=False)
    memory.give(10)  # which grants it memory before it dies
    waiting.join()
    assert memory.used == 0 and memory.take(1, 10, 0)


def test_who_gives_up_makes_way_for_those_behind() -> None:
    memory = Memory(10)
    assert memory.take(1, 8, 0)
    large, small = gevent.spawn(memory.take, 1, 9, 20), gevent.spawn(memory.take, 1, 1, 20)
    gevent.sleep(0)
    large.kill()
    assert small.get(timeout=5) and memory.used == 9


def test_the_oldest_download_can_finish_whatever_others_hold() -> None:
    memory = Memory(10, reserve=4)
    for owner in ("old", "new"):
        memory.begin(owner)
    assert memory.take("old", 2, 0) and memory.take("new", 4, 0) and not memory.take("new", 1, 0)
    waiting = gevent.spawn(memory.take, "new", 1, 20)
    gevent.sleep(0)
    assert memory.take("old", 4, 0) and memory.used == 10 and not memory.take("old", 1, 0)
    last = gevent.spawn(memory.take, "old", 1, 20)
    gevent.sleep(0)
    memory.give(1)
    assert last.get(timeout=5) and not waiting.ready()  # ahead of those who have waited longer
    memory.end("old")
    memory.give(1)
    assert waiting.get(timeout=5)  # now the oldest


def test_a_large_file_is_sent_in_pieces(
    say: Callable[..., Any], channel: Callable[..., int], vendor: FakeVendor, pictures: FakeVendor
) -> None:
    """It is longer than a piece and than what a socket takes at once, beside text that JSON escapes."""
    whole = PNG + bytes(range(256)) * 12_001
    pictures.always(Say(whole))
    channel(type=24, models="gemini-2.5-flash", config=COMPATIBLE)
    asked = body(f"{HOST}/a.png", model="gemini-2.5-flash")
    asked["messages"][0]["content"][0]["text"] = 'A "quoted"\n text, ü'
    asked["messages"].append({"role": "user", "content": [{"type": "image_url", "image_url": f"{HOST}/b.png"}]})
    assert say(**asked).status_code == 200
    first, second = vendor.asked[0].json["messages"]
    assert first["content"][0]["text"] == asked["messages"][0]["content"][0]["text"]
    assert first["content"][1]["image_url"] == {"url": f"data:image/png;base64,{b64encode(whole).decode()}", "detail": "low"}
    assert second["content"][0]["image_url"] == first["content"][1]["image_url"]["url"]


def test_base64_is_not_copied_into_the_body() -> None:
    plan = plan_of("http://vendor.invalid/chat", "", True)
    file = DataUrl("image/png", Encoded(b64encode(PNG)))
    pieces = in_pieces(Request("http://vendor.invalid/chat", {"url": file, "data": file.data}), plan)
    assert [piece for piece in pieces if piece is file.data.ascii] == [file.data.ascii] * 2
    whole = encode(Request("http://vendor.invalid/chat", {"url": file, "data": file.data}), plan)
    assert b"".join(pieces) == whole


def test_a_body_that_orjson_cannot_write_carries_files_too(
    say: Callable[..., Any], channel: Callable[..., int], vendor: FakeVendor, pictures: FakeVendor
) -> None:
    channel(type=24, models="gemini-2.5-flash", config=COMPATIBLE, parameters='{"seed": 100000000000000000000000}')
    assert say(**body(*many(2), model="gemini-2.5-flash")).status_code == 200
    assert vendor.asked[0].body.count(b'"data:image/png;base64,' + b64encode(PNG) + b'"') == 2


def test_a_refusal_of_the_process_takes_nothing_from_the_account(app: Flask) -> None:
    found: MediaLimits = app.extensions["oneapi.relay"].downloads.limits
    account = found.enter(1)
    assert found.memory.take(None, found.memory.most, 0)
    with pytest.raises(Refused) as refused:
        found.take(account, None, 1, 0.0)
    assert refused.value.status == 503 and account.memory.used == 0
    found.memory.give(found.memory.most)
    found.leave(1)


# -- content ------------------------------------------------------------------------------------------------------------


def test_the_bytes_decide_the_type_not_the_server(
    say: Callable[..., Any], channel: Callable[..., int], vendor: FakeVendor, pictures: FakeVendor
) -> None:
    channel(type=24, models="gemini-2.5-flash")
    vendor.always(GOOGLE)
    for declared in ("image/png", "application/octet-stream", "text/html"):
        pictures.says(Say(JPEG, content_type=declared))
        assert say(**body(*many(1), model="gemini-2.5-flash")).status_code == 200
        assert vendor.asked[-1].json["contents"][0]["parts"][1]["inlineData"]["mimeType"] == "image/jpeg"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Say(b"<!DOCTYPE html><html>" + bytes(MB), content_type="image/png"), "but an HTML page (declared image/png)"),
        (Say(b"%PDF-1.7\n" + bytes(100), content_type="image/png"), "not an image but application/pdf"),
        (Say(b"hello", content_type="image/png"), "not an image but of no image format known here"),
        (Say(b"", content_type="image/png"), "not an image but empty"),
        (Say(PNG, status=404, content_type="image/png"), "answered with status 404"),
        (Say(b"", status=302, headers={"Location": "ftp://pictures.invalid/a.png"}), "must begin with http:// or https://"),
        (Say(PNG, headers={"Content-Length": "9" * 5000}, pieces=(PNG,)), "could not be fetched"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_refused(
    look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor, reply: Say, words: str
) -> None:
    pictures.says(reply)
    got = look(f"{HOST}/a.png?signature=secret")
    assert got.status_code == 400 and words in got.json["error"]["message"], got.json
    assert got.json["error"]["code"] in ("invalid_image_url", "images_too_large") and "secret" not in got.json["error"]["message"]
    assert ollama.asked == []


def test_one_bad_image_ends_the_other_downloads(
    look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor, used: Any
) -> None:
    held = Event()
    pictures.says(Say(PNG, hold=held), Say(PNG, hold=held), Say(b"<html>"))
    assert look(*many(3)).status_code == 400
    assert used() == (0, 32, 0)
    held.set()


def test_a_fetched_image_is_not_blamed_for_another_field(
    say: Callable[..., Any], channel: Callable[..., int], vendor: FakeVendor, pictures: FakeVendor
) -> None:
    channel(type=24, models="gemini-2.5-flash")
    asked = body(*many(1), model="gemini-2.5-flash")
    asked["messages"][0]["content"].append({"type": "file", "file": "x"})
    assert say(**asked).json["error"]["param"] == "messages[0].content[2].file"


def test_odd_bodies_pass_untouched(look: Callable[..., Any], ollama: FakeVendor, pictures: FakeVendor, say: Any) -> None:
    for messages in ([{"role": "user", "content": "hi"}], [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]):
        assert say(model="llava", messages=messages).status_code == 200
    for image in (5, None, {"url": 5}, [], {"uri": "http://x"}):
        part = {"type": "image_url", "image_url": image}
        assert say(model="llava", messages=[{"role": "user", "content": [part]}]).status_code == 400
    assert pictures.asked == []
