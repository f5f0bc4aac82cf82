"""One person who comes back in several browsers at once is one account, on every database."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from servers import KINDS, fresh
from ways import session_cookie, travel, way_back


@pytest.fixture(params=KINDS)
def environ(request: Any, tmp_path: Any) -> Iterator[dict[str, str]]:
    with fresh(request.param, tmp_path, suffix="_login") as dsn:
        yield {"SQL_DSN": dsn}


def test_the_same_person_several_times_at_once_is_one_account(app, github):
    browsers = [app.test_client() for _ in range(6)]
    backs = [way_back(browser, "github") for browser in browsers]
    arrivals = [gevent.spawn(browser.get, back) for browser, back in zip(browsers, backs, strict=True)]
    gevent.joinall(arrivals)
    assert len({arrival.value.get_json()["id"] for arrival in arrivals}) == 1


def test_a_state_that_comes_back_twice_at_once_is_taken_once(app, client, github):
    back = way_back(client, "github")
    cookie = client.get_cookie(session_cookie(client)).value
    browsers = [app.test_client() for _ in range(4)]
    for browser in browsers:
        browser.set_cookie(session_cookie(client), cookie)
    arrivals = [gevent.spawn(browser.get, back) for browser in browsers]
    gevent.joinall(arrivals)
    assert sorted(arrival.value.status_code for arrival in arrivals) == [200, 422, 422, 422]


def test_identities_differ_in_case(app, client, lark):
    first = travel(client, "lark")["id"]
    lark.profile["open_id"] = "OU_1"
    assert travel(app.test_client(), "lark")["id"] != first
