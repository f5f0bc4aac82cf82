"""What failed beside a page: a panel in place of what was to be filled, a toast for what was to be done."""

import json
from typing import Any

import pytest

from oneapi.models import browse as lists


@pytest.fixture
def broken(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No list can be read, and errors become answers as they do for people."""

    def fail(*_given: Any, **_more: Any) -> None:
        raise RuntimeError("the disk is full")

    app.config["PROPAGATE_EXCEPTIONS"] = False
    for name in ("channels", "users"):
        monkeypatch.setattr(lists, name, fail)


def test_a_form_that_is_gone_says_so_in_its_drawer(browse: Any, admin: Any) -> None:
    answer = browse(admin).ask("/channel/edit/999", "drawer")
    assert answer.status_code == 404 and answer.headers["HX-Panel"] == "part" and answer.headers["HX-Retarget"] == "#drawer"
    assert "HX-Trigger" not in answer.headers
    assert "There is nothing at this address" in answer.text and answer.headers["X-Oneapi-Request-Id"] in answer.text
    assert 'hx-get="/channel/edit/999" hx-target="#drawer" hx-swap="innerHTML"' in answer.text and "data-close" in answer.text


def test_rows_that_cannot_be_read_leave_their_search_alone(browse: Any, admin: Any, broken: Any) -> None:
    answer = browse(admin).ask("/channel?q=%22a%22&status=1", "list")
    assert answer.status_code == 500 and answer.headers["HX-Reselect"] == "unset"
    assert answer.headers["HX-Retarget"] == "#list :is(.scroll, .empty)" and answer.headers["HX-Reswap"] == "outerHTML"
    assert 'hx-get="/channel?q=%22a%22&amp;status=1" hx-target="#list" hx-swap="morph:outerHTML"' in answer.text
    assert "disk" not in answer.text and "<form" not in answer.text


def test_a_page_that_fails_on_the_way_is_shown_whole(browse: Any, admin: Any, broken: Any) -> None:
    boosted = browse(admin).client.get("/user", headers={"HX-Request": "true", "HX-Boosted": "true", "HX-Target": "main"})
    assert boosted.status_code == 500 and boosted.headers["HX-Panel"] == "page" and 'id="main"' in boosted.text
    plain = browse(admin).get("/user")
    assert plain.status_code == 500 and "HX-Panel" not in plain.headers


def test_an_act_that_fails_is_told_beside_the_page(browse: Any, admin: Any) -> None:
    answer = browse(admin).send("/channel/999/status", "channel-999", status="1")
    told = json.loads(answer.headers["HX-Trigger"])["toast"]
    assert answer.status_code == 404 and "HX-Panel" not in answer.headers
    assert told == {"kind": "bad", "text": "Not found", "id": answer.headers["X-Oneapi-Request-Id"]}


def test_what_asks_from_nowhere_known_gets_a_toast(browse: Any, admin: Any) -> None:
    answer = browse(admin).ask("/channel/edit/999", "somewhere")
    assert "HX-Panel" not in answer.headers and json.loads(answer.headers["HX-Trigger"])["toast"]["kind"] == "bad"
