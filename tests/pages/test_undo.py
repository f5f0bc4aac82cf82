"""Undo: what was deleted or switched a moment ago comes back, for who did it and still may."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from oneapi.models.redemption import Redemption
from oneapi.models.token import Token
from oneapi.models.user import User


def told(answer: Any) -> dict[str, str]:
    """The toast that came with an answer."""
    toast: dict[str, str] = json.loads(answer.headers["HX-Trigger"])["toast"]
    return toast


def deleted(browser: Any, path: str, where: str) -> str:
    """Delete something; the address that takes it back."""
    browser.send(path)
    return told(browser.ask(where, "main"))["undo"]


def taken_back(browser: Any, undo: str) -> dict[str, str]:
    """Press Undo; the toast on the page that follows."""
    where = json.loads(browser.send(undo).headers["HX-Location"])["path"]
    return told(browser.ask(where, "main"))


def user(state: Any, id: int) -> User:
    with state.databases.transaction() as session:
        row: User = session.get_one(User, id)
    return row


def set_columns(state: Any, id: int, **columns: Any) -> None:
    with state.databases.transaction() as session:
        for name, value in columns.items():
            setattr(session.get(User, id), name, value)


def test_a_deleted_person_comes_back_with_keys_sign_ins_and_balance(
    browse: Any, admin: Any, alice: Any, state: Any, client: Any, channel: Any, balance: Any
) -> None:
    channel()
    set_columns(state, alice.id, email="a@example.com", github_id="alice-hub", github_uid="77")
    before, browser = balance(alice.id), browse(admin)
    undo = deleted(browser, f"/user/{alice.id}/delete", "/user")
    assert client.get("/v1/models", headers=alice.headers).status_code == 401 and user(state, alice.id).email is None
    browser.post(undo)
    back = user(state, alice.id)
    assert (back.username, back.status, back.email) == ("alice", 1, "a@example.com")
    assert (back.github_id, back.github_uid) == ("alice-hub", "77")
    assert balance(alice.id) == before and client.get("/v1/models", headers=alice.headers).status_code == 200
    assert browse(alice).get("/token").status_code == 200
    assert "user.restore" in browse_audit(state)


def browse_audit(state: Any) -> list[str]:
    from oneapi.models.audit import Audit

    with state.databases.transaction() as session:
        return list(session.scalars(select(Audit.action)))


def test_what_somebody_else_took_meanwhile_stays_theirs(browse: Any, admin: Any, alice: Any, bob: Any, state: Any) -> None:
    set_columns(state, alice.id, email="a@example.com", github_id="alice-hub")
    browser = browse(admin)
    undo = deleted(browser, f"/user/{alice.id}/delete", "/user")
    set_columns(state, bob.id, email="a@example.com")
    browser.post(undo)
    assert user(state, alice.id).username == "alice" and user(state, alice.id).email is None
    assert user(state, alice.id).github_id == "alice-hub"


def test_a_name_that_was_taken_meanwhile_keeps_an_account_closed(
    browse: Any, admin: Any, alice: Any, bob: Any, state: Any
) -> None:
    browser = browse(admin)
    undo = deleted(browser, f"/user/{alice.id}/delete", "/user")
    set_columns(state, bob.id, username="alice")
    assert taken_back(browser, undo)["text"] == "This user name is taken." and user(state, alice.id).status == 3
    with state.databases.transaction() as session:
        assert session.scalar(select(Token).where(Token.user_id == alice.id)) is None


def test_nobody_takes_back_what_another_did_or_twice(browse: Any, admin: Any, alice: Any, root: Any, state: Any) -> None:
    browser = browse(admin)
    undo = deleted(browser, f"/user/{alice.id}/delete", "/user")
    assert "too late" in taken_back(browse(root), undo)["text"] and user(state, alice.id).status == 3
    browser.send(undo)
    assert user(state, alice.id).status == 1 and "too late" in taken_back(browser, undo)["text"]


@pytest.mark.parametrize("noun", ["user", "channel", "redemption"])
def test_who_is_no_administrator_any_more_takes_nothing_back(
    noun: str, browse: Any, admin: Any, alice: Any, channel: Any, state: Any
) -> None:
    browser = browse(admin)
    browser.post("/redemption/add", name="gift", quota="1000", count="1")
    id = {"user": alice.id, "channel": channel(), "redemption": 1}[noun]
    undo = deleted(browser, f"/{noun}/{id}/delete", f"/{noun}")
    set_columns(state, admin.id, role=1)
    state.changed()
    assert "too late" in taken_back(browse(admin), undo)["text"]
    assert "user.restore" not in browse_audit(state) and f"{noun}.restore" not in browse_audit(state)


def test_an_administrator_below_someone_raised_meanwhile_takes_nothing_back(
    browse: Any, admin: Any, alice: Any, state: Any
) -> None:
    browser = browse(admin)
    undo = deleted(browser, f"/user/{alice.id}/delete", "/user")
    set_columns(state, alice.id, role=10)
    assert taken_back(browser, undo)["kind"] == "bad" and user(state, alice.id).status == 3


def test_a_ban_and_a_role_are_taken_back(browse: Any, root: Any, alice: Any, state: Any) -> None:
    browser = browse(root)
    for path, column, between, after in (
        (f"/user/{alice.id}/status", "status", 2, 1), (f"/user/{alice.id}/promote", "role", 10, 1),
    ):  # fmt: skip
        toast = told(browser.send(path))
        assert getattr(user(state, alice.id), column) == between and toast["target"] == f"#user-{alice.id}"
        assert f'id="user-{alice.id}"' in browser.send(toast["undo"]).text
        assert getattr(user(state, alice.id), column) == after


def test_the_switch_of_a_code_is_taken_back(browse: Any, admin: Any, state: Any) -> None:
    browser = browse(admin)
    browser.post("/redemption/add", name="gift", quota="1000", count="1")

    def status() -> int:
        with state.databases.transaction() as session:
            found: int = session.scalars(select(Redemption.status)).one()
        return found

    toast = told(browser.send("/redemption/1/status"))
    assert status() == 2 and f'id="{toast["target"][1:]}"' in browser.get("/redemption").text
    browser.send(toast["undo"])
    assert status() == 1
    again = told(browser.send(told(browser.send("/redemption/1/status"))["undo"]))
    browser.send(again["undo"])
    assert status() == 2
