"""API keys by plain forms and by htmx."""

import json
from typing import Any

from sqlalchemy import select

from oneapi.models.token import Token


def row(state: Any, name: str) -> Token | None:
    with state.databases.transaction() as session:
        return session.scalar(select(Token).where(Token.name == name))


def test_a_key_is_made_and_shown(browse: Any, alice: Any, state: Any) -> None:
    browser = browse(alice)
    answer = browser.post(
        "/token/add", name="laptop", budget="amount", remain_quota="1000", expiry="86400", subnet="10.0.0.0/8\n::1"
    )
    assert answer.status_code == 303
    made = row(state, "laptop")
    assert made is not None and made.remain_quota == 1000 and made.subnet == "10.0.0.0/8,::1" and not made.unlimited_quota
    assert f"sk-{made.key}" in browser.get(answer.location).text


def test_several_keys_get_numbered_names(browse: Any, alice: Any, state: Any) -> None:
    browse(alice).post("/token/add", name="ci", budget="none", expiry="never", count="3")
    assert all(row(state, f"ci-{n}") for n in (1, 2, 3))


def test_a_complaint_keeps_what_was_typed(browse: Any, alice: Any) -> None:
    answer = browse(alice).post("/token/add", name="laptop", budget="none", expiry="never", subnet="not a network")
    assert answer.status_code == 422 and 'value="laptop"' in answer.text and 'aria-invalid="true"' in answer.text


def test_htmx_gets_the_form_back_with_its_complaint(browse: Any, alice: Any) -> None:
    answer = browse(alice).send("/token/add", name="", budget="none", expiry="never")
    assert answer.status_code == 422 and answer.text.lstrip().startswith("<form") and "Give the key a name." in answer.text


def test_another_persons_key_is_not_there(browse: Any, alice: Any, bob: Any, state: Any) -> None:
    theirs = row(state, "bob's")
    assert theirs is not None
    browser = browse(alice)
    paths = (
        f"/token/edit/{theirs.id}",
        f"/token?edit={theirs.id}",
        f"/token/{theirs.id}/key",
        f"/token/created?ids={theirs.id}",
        f"/token/keys?ids={theirs.id}",
    )
    assert [browser.get(path).status_code for path in paths] == [404] * 5
    assert browser.post(f"/token/{theirs.id}/delete").status_code == 404
    assert browser.post("/token/bulk", action="delete", ids=str(theirs.id)).status_code == 404
    assert row(state, "bob's") is not None


def test_a_switch_answers_with_the_row_and_says_what_happened(browse: Any, alice: Any, state: Any) -> None:
    mine = row(state, "alice's")
    assert mine is not None
    answer = browse(alice).send(f"/token/{mine.id}/status")
    assert answer.text.lstrip().startswith("<tr") and "disabled" in json.loads(answer.headers["HX-Trigger"])["toast"]["text"]
    assert row(state, "alice's").status == 2  # type: ignore[union-attr]


def test_a_deleted_key_stops_at_once_and_comes_back_with_undo(
    browse: Any, alice: Any, bob: Any, state: Any, client: Any, channel: Any
) -> None:
    channel()
    browser, mine = browse(alice), row(state, "alice's")
    assert mine is not None
    browser.send(f"/token/{mine.id}/delete")
    assert client.get("/v1/models", headers=alice.headers).status_code == 401
    told = json.loads(browser.ask("/token", "main").headers["HX-Trigger"])["toast"]
    browse(bob).post(told["undo"])
    assert row(state, "alice's") is None
    browser.post(told["undo"])
    assert row(state, "alice's").id == mine.id  # type: ignore[union-attr]
    assert client.get("/v1/models", headers=alice.headers).status_code == 200


def test_lists_never_carry_whole_keys(browse: Any, alice: Any) -> None:
    assert alice.key not in browse(alice).get("/token").text


def test_looking_at_a_key_is_written_down(browse: Any, alice: Any, root: Any, state: Any) -> None:
    mine = row(state, "alice's")
    assert mine is not None
    assert browse(alice).get(f"/token/{mine.id}/key").text == f"sk-{mine.key}"
    assert "token.reveal" in browse(root).get("/audit").text


def test_filters_live_in_the_address(browse: Any, alice: Any) -> None:
    browser = browse(alice)
    assert "alice&#39;s" in browser.get("/token?status=1").text
    assert "alice&#39;s</a>" not in browser.get("/token?status=2").text
    assert browser.get("/token?status=nonsense&page=9999&size=7&sort=nonsense").status_code == 200


def test_disabling_a_key_can_be_taken_back(browse: Any, alice: Any, state: Any) -> None:
    mine = row(state, "alice's")
    browser = browse(alice)
    answer = browser.send(f"/token/{mine.id}/status", status="")
    undo = json.loads(answer.headers["HX-Trigger"])["toast"]
    assert row(state, "alice's").status == 2 and undo["target"] == f"#token-{mine.id}"
    browser.send(undo["undo"])
    assert row(state, "alice's").status == 1


def test_several_keys_get_one_expiry_and_the_same_models(browse: Any, alice: Any, state: Any, clock: Any) -> None:
    browser = browse(alice)
    browser.post("/token/add", name="ci", budget="none", expiry="never", count="2")
    ids = [row(state, "ci-1").id, row(state, "ci-2").id]
    browser.post("/token/bulk", action="expiry:86400", ids=ids)
    assert all(abs(row(state, f"ci-{n}").expired_time - clock() - 86400) < 60 for n in (1, 2))
    browser.post("/token/bulk", action="models", ids=ids, models="gpt-4o\ngpt-4o-mini")
    assert {row(state, f"ci-{n}").models for n in (1, 2)} == {"gpt-4o,gpt-4o-mini"}
    browser.post("/token/bulk", action="expiry:0", ids=ids)
    assert {row(state, f"ci-{n}").expired_time for n in (1, 2)} == {-1}


def test_other_peoples_keys_are_not_changed_in_bulk(browse: Any, alice: Any, bob: Any, state: Any) -> None:
    theirs = row(state, "bob's")
    assert browse(alice).post("/token/bulk", action="models", ids=str(theirs.id), models="x").status_code == 404
    assert not row(state, "bob's").models


def test_a_chosen_key_is_shown_ready_for_clients(browse: Any, alice: Any, bob: Any, state: Any) -> None:
    mine, theirs = row(state, "alice's"), row(state, "bob's")
    said = browse(alice).get(f"/token/open?id={mine.id}").text
    assert f"sk-{mine.key}" in said and "NextChat" in said and "client.chat.completions.create" in said
    assert browse(alice).get(f"/token/open?id={theirs.id}").status_code == 404
