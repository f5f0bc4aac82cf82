"""Users, codes and the wallet by their pages."""

import json
from typing import Any

from sqlalchemy import select

from oneapi.models.redemption import Redemption
from oneapi.models.user import User


def user(state: Any, name: str) -> User | None:
    with state.databases.transaction() as session:
        return session.scalar(select(User).where(User.username == name))


def test_an_administrator_adds_somebody_with_a_balance(browse: Any, admin: Any, state: Any, balance: Any) -> None:
    form = {"username": "carol", "display_name": "Carol", "password": "long enough", "group": "default", "quota": "5000"}
    assert browse(admin).post("/user/add", **form).status_code == 303
    assert balance(user(state, "carol").id) == 5000  # type: ignore[union-attr]


def test_an_administrator_sees_no_form_of_their_like(browse: Any, admin: Any, root: Any, person: Any) -> None:
    other = person("second", role=10)
    browser = browse(admin)
    assert browser.get(f"/user/edit/{other.id}").status_code == browser.get(f"/user/edit/{root.id}").status_code == 404
    assert browser.post(f"/user/{other.id}/disable").status_code == 404
    assert f'action="/user/{other.id}/status"' not in browser.get("/user").text


def test_balances_are_added_to_taken_from_and_set(browse: Any, admin: Any, alice: Any, balance: Any) -> None:
    browser, before = browse(admin), balance(alice.id)
    browser.post(f"/user/{alice.id}/balance", how="add", quota="500", remark="thanks", key="once")
    browser.post(f"/user/{alice.id}/balance", how="add", quota="500", remark="thanks", key="once")
    assert balance(alice.id) == before + 500
    browser.post(f"/user/{alice.id}/balance", how="subtract", quota="100")
    assert balance(alice.id) == before + 400
    browser.post(f"/user/{alice.id}/balance", how="set", quota="7")
    assert balance(alice.id) == 7
    assert browser.post(f"/user/{alice.id}/balance", how="set", quota="-7").status_code == 422


def test_someone_disabled_is_out_at_once(browse: Any, admin: Any, alice: Any) -> None:
    hers = browse(alice)
    browse(admin).send(f"/user/{alice.id}/status")
    assert hers.get("/dashboard").status_code in (303, 403)


def test_only_root_makes_administrators(browse: Any, admin: Any, root: Any, alice: Any, state: Any) -> None:
    browse(admin).send(f"/user/{alice.id}/promote")
    assert user(state, "alice").role == 1  # type: ignore[union-attr]
    browse(root).send(f"/user/{alice.id}/promote")
    assert user(state, "alice").role == 10  # type: ignore[union-attr]


def test_a_code_is_made_shown_redeemed_once_and_gone(
    browse: Any, admin: Any, alice: Any, bob: Any, state: Any, balance: Any
) -> None:
    browser = browse(admin)
    made = browser.post("/redemption/add", name="gift", quota="1000", count="2")
    assert made.status_code == 303
    with state.databases.transaction() as session:
        codes = [row.key for row in session.scalars(select(Redemption))]
    assert len(codes) == 2 and all(code in browser.get(made.location).text for code in codes)
    before, hers = balance(alice.id), browse(alice)
    assert hers.post("/topup", key=f"  {codes[0]}  ").status_code == 303
    assert balance(alice.id) == before + 1000
    again = browse(bob).post("/topup", key=codes[0])
    assert again.status_code == 422 and "has been used" in again.text
    assert "code" in hers.get("/topup").text


def test_an_unknown_code_is_a_complaint_at_the_field(browse: Any, alice: Any) -> None:
    answer = browse(alice).send("/topup", into="redeem", key="nonsense")
    assert answer.status_code == 422 and 'aria-invalid="true"' in answer.text and answer.text.lstrip().startswith("<div")


def test_codes_leave_as_a_file(browse: Any, admin: Any) -> None:
    browser = browse(admin)
    made = browser.post("/redemption/add", name="gift", quota="1000", count="3")
    assert len(browser.get(f"{made.location}&format=txt").text.split()) == 3


def test_profile_names_are_checked_at_the_field(browse: Any, alice: Any, bob: Any) -> None:
    browser = browse(alice)
    taken = browser.post("/user/edit", username="bob", display_name="A")
    assert taken.status_code == 422 and 'id="f-username-said"' in taken.text
    assert browser.post("/user/edit", username="alice", display_name="Alice").status_code == 303


def test_a_new_password_needs_the_old_one(browse: Any, alice: Any) -> None:
    browser = browse(alice)
    form = {"password": "another one", "confirm": "another one"}
    assert browser.post("/user/password", current_password="wrong", **form).status_code == 422
    elsewhere = browse(alice)
    assert browser.post("/user/password", current_password=alice.password, **form).status_code == 303
    assert browser.get("/dashboard").status_code == 200 and elsewhere.get("/dashboard").status_code == 303


def test_an_access_token_is_shown_once(browse: Any, alice: Any) -> None:
    browser = browse(alice)
    assert "Copy it now" in browser.post("/user/access-token").text
    assert "Copy it now" not in browser.get("/user/edit").text


def test_an_account_is_closed_only_by_its_name(browse: Any, alice: Any, state: Any) -> None:
    browser = browse(alice)
    assert browser.post("/user/delete", username="alic").status_code == 422
    assert browser.post("/user/delete", username="alice").location == "/"
    assert browser.get("/dashboard").status_code == 303


def test_the_shop_learns_who_buys(browse: Any, alice: Any, setting: Any) -> None:
    setting(TopUpLink="https://shop.example/buy?x=1")
    where = browse(alice).get("/topup/buy").location
    assert where.startswith("https://shop.example/buy?x=1&username=alice&user_id=") and "transaction_id=" in where


def test_registering_by_the_form_signs_in(browse: Any, state: Any) -> None:
    browser = browse()
    form = {"username": "dave", "password": "long enough", "confirm": "long enough"}
    assert browser.post("/register", **form | {"confirm": "other"}).status_code == 422
    assert browser.post("/register", **form).location == "/dashboard"
    assert browser.get("/token").status_code == 200


def test_toasts_of_any_script_fit_into_headers(browse: Any, admin: Any, channel: Any) -> None:
    id = channel(name="阿里云百炼")
    said = browse(admin).send(f"/channel/{id}/status").headers["HX-Trigger"]
    assert said.isascii() and "阿里云百炼" in json.loads(said)["toast"]["text"]


def test_an_administrator_looks_at_somebodys_keys_without_seeing_them_whole(browse: Any, admin: Any, alice: Any) -> None:
    browser = browse(admin)
    for said in (browser.ask(f"/user/{alice.id}/keys", "drawer").text, browser.get(f"/user?keys={alice.id}").text):
        assert "API keys of alice" in said and f"/log?user_id={alice.id}&amp;token=alice%27s" in said
        assert alice.key[:12] not in said and alice.key[-4:] in said
    assert f"/user/{alice.id}/keys" in browser.get("/user").text


def test_nobody_looks_at_the_keys_of_their_like_or_above(browse: Any, admin: Any, alice: Any, root: Any, person: Any) -> None:
    other = person("second", role=10)
    browser = browse(admin)
    assert [browser.get(f"/user/{who.id}/keys").status_code for who in (other, root, admin)] == [404, 404, 404]
    assert f"/user/{other.id}/keys" not in browser.get("/user").text
    assert browse(alice).get(f"/user/{alice.id}/keys").status_code == 403


def test_the_pages_of_administrators_leave_root_out(browse: Any, admin: Any, root: Any, alice: Any) -> None:
    for path in ("/user", f"/user?q={root.username}", "/user?role=100", f"/palette?q={root.username}"):
        said = browse(admin).get(path).text
        assert f"/user?edit={root.id}" not in said and f'id="user-{root.id}"' not in said, path
    assert f"/user?edit={root.id}" in browse(root).get("/user").text


def test_an_administrator_cannot_give_an_administrator_or_root_a_password(
    browse: Any, client: Any, admin: Any, root: Any, person: Any
) -> None:
    other = person("boss", role=10)
    browser = browse(admin)
    for whom in (other, root):
        form = {"username": whom.username, "display_name": whom.username, "password": "of my choice", "group": "default"}
        assert browser.post(f"/user/edit/{whom.id}", **form).status_code in (404, 422)
        login = {"username": whom.username, "password": whom.password}
        assert client.post("/api/user/login", json=login).get_json()["success"], "the old password still holds"
