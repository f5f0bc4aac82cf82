"""Credentials that expire: tokens are fetched once, renewed in time and after a refusal; signatures survive a wrong clock."""

import time
from email.utils import formatdate
from typing import Any

import gevent
import pytest
from fake_vendor import FakeVendor

from oneapi import vendors
from oneapi.relay import probe
from oneapi.relay.clocks import Clocks
from oneapi.relay.secrets import Secrets
from oneapi.state import State
from oneapi.wire import Call, Reply, Request, VendorError

TOKEN = {"access_token": "24.tok", "expires_in": 2592000}
SAID = {
    "id": "as-1", "created": 1700000000, "result": "Paris.", "is_truncated": False, "finish_reason": "normal",
    "usage": {"prompt_tokens": 6, "completion_tokens": 2, "total_tokens": 8},
}  # fmt: skip
REFUSED = {"error_code": 110, "error_msg": "Access token invalid or no longer valid"}
MODEL = "ERNIE-4.0-8K"


@pytest.fixture
def baidu(channel: Any) -> int:
    return channel(type=15, key="AK1|SK1", models=MODEL)


def paths(vendor: FakeVendor) -> list[str]:
    return ["token" if asked.path == "/oauth/2.0/token" else asked.query for asked in vendor.asked]


def test_a_token_is_fetched_once_and_used_again(say: Any, vendor: FakeVendor, baidu: int) -> None:
    vendor.says(TOKEN).always(SAID)
    assert [say(model=MODEL).status_code for _ in range(3)] == [200, 200, 200]
    assert paths(vendor) == ["token"] + ["access_token=24.tok"] * 3


def test_many_who_wait_for_a_token_share_one_flight(state: State, say: Any, vendor: FakeVendor, baidu: int) -> None:
    vendor.says(vendor.reply(TOKEN, delay=0.1)).always(SAID)
    for flight in [gevent.spawn(probe.test, state, baidu) for _ in range(8)]:
        assert flight.get(timeout=30).ok
    assert paths(vendor).count("token") == 1


def test_a_refused_token_is_dropped_and_a_new_one_tried_once(say: Any, vendor: FakeVendor, baidu: int) -> None:
    vendor.says(TOKEN, REFUSED, {**TOKEN, "access_token": "24.new"}, SAID)
    assert say(model=MODEL).status_code == 200
    assert paths(vendor) == ["token", "access_token=24.tok", "token", "access_token=24.new"]


def test_a_second_refusal_is_the_channels(say: Any, vendor: FakeVendor, baidu: int) -> None:
    vendor.says(TOKEN, REFUSED, TOKEN, REFUSED)
    assert say(model=MODEL).status_code == 502
    assert paths(vendor).count("token") == 2


def test_a_key_that_gets_no_token_is_not_asked_about_twice(say: Any, vendor: FakeVendor, baidu: int) -> None:
    vendor.always({"error": "invalid_client", "error_description": "unknown client id"}, status=401)
    assert say(model=MODEL).status_code == 502
    assert paths(vendor) == ["token"]


def test_a_token_is_never_given_out_at_its_end() -> None:
    exchange = vendors.by_slug("baidu").exchange
    assert exchange
    call = Call("chat", {}, MODEL, "https://b.example", "AK1|SK1", config={"ak": "AK1", "sk": "SK1"})
    asked: list[Request] = []

    def send(request: Request) -> Reply:
        asked.append(request)
        return Reply(200, {}, b'{"access_token":"24.%d","expires_in":0.2}' % len(asked))

    secrets = Secrets()
    assert [secrets.get(1, call, exchange, send) for _ in range(2)] == ["24.1", "24.1"]
    time.sleep(0.15)  # half of its life is over
    assert secrets.get(1, call, exchange, send) == "24.2"
    assert secrets.get(2, call, exchange, send) == "24.3"  # another channel has a token of its own


# Signatures

SIGNED = {"type": 23, "key": "1250000000|AKIDexample0001|secretexample0001", "models": "hunyuan-lite"}
EXPIRED = {"Response": {"Error": {"Code": "AuthFailure.SignatureExpire", "Message": "expired"}, "RequestId": "r"}}
GOOD = {
    "Response": {
        "Id": "id1", "Created": 1, "Choices": [{"FinishReason": "stop", "Message": {"Role": "assistant", "Content": "Hi"}}],
        "Usage": {"PromptTokens": 1, "CompletionTokens": 1, "TotalTokens": 2},
    }
}  # fmt: skip


@pytest.mark.parametrize("ahead", [-7200.0, 86400.0])
def test_a_signature_of_a_wrong_clock_is_made_again_by_the_vendors(
    say: Any, vendor: FakeVendor, channel: Any, ahead: float
) -> None:
    channel(**SIGNED)
    theirs = time.time() + ahead
    vendor.says(vendor.reply(EXPIRED, headers={"Date": formatdate(theirs, usegmt=True)})).always(GOOD)
    assert say(model="hunyuan-lite").status_code == 200
    assert say(model="hunyuan-lite").status_code == 200
    first, second, third = (float(asked.headers["x-tc-timestamp"]) for asked in vendor.asked)
    assert abs(first - time.time()) < 10
    assert abs(second - theirs) < 10 and abs(third - theirs) < 10  # and it is remembered


def test_a_bad_key_is_not_tried_again_while_the_clocks_agree(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel(**SIGNED)
    vendor.always(EXPIRED, headers={"Date": formatdate(time.time(), usegmt=True)})
    assert say(model="hunyuan-lite").status_code == 502
    assert len(vendor.asked) == 1


def test_a_bad_key_is_not_tried_again_where_nothing_holds_the_time(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel()
    vendor.always({"error": {"message": "no"}}, status=401, headers={"Date": formatdate(time.time() + 3600, usegmt=True)})
    assert say().status_code == 502
    assert len(vendor.asked) == 1


def test_a_test_of_the_channel_learns_the_time_too(state: State, vendor: FakeVendor, channel: Any) -> None:
    number = channel(**SIGNED)
    vendor.says(vendor.reply(EXPIRED, headers={"Date": formatdate(time.time() + 3600, usegmt=True)}), GOOD)
    assert probe.test(state, number).ok


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Foo 2023 10:43:39 GMT"])
def test_a_date_that_is_none_teaches_nothing(date: str) -> None:
    clocks = Clocks(lambda: 1700000000.0)
    assert clocks.learned(1, date) is False and clocks.now(1) == 1700000000


def test_each_channel_has_a_clock_of_its_own() -> None:
    clocks = Clocks(lambda: 1700000000.0)
    assert clocks.learned(1, formatdate(1700003600, usegmt=True))
    assert (clocks.now(1), clocks.now(2)) == (1700003600, 1700000000)
    assert clocks.learned(1, formatdate(1700003610, usegmt=True)) is False  # as near as a header can tell


def test_a_refusal_carries_the_time_it_was_told(state: State, vendor: FakeVendor, channel: Any) -> None:
    vendor.says(vendor.reply({"error": {"message": "no"}}, status=401, headers={"Date": "Tue, 14 Nov 2023 22:13:20 GMT"}))
    vendor.always({"error": {"message": "no"}}, status=401)
    with pytest.raises(VendorError) as found:
        probe.models(state, channel(type=16, key="id.secret"))  # Zhipu's keys may be tokens that our clock makes
    assert found.value.kind == "auth" and len(vendor.asked) == 2
