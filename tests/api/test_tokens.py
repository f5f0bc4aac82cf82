"""Tokens through the API."""

import pytest

from oneapi.models import ledger, token

NEW = {"name": "mine", "expired_time": -1, "remain_quota": 100, "unlimited_quota": False}


@pytest.fixture
def made(as_, alice):
    return as_(alice).data("POST", "/api/token/", NEW)


def change(state, id, **columns):
    with state.databases.transaction() as session:
        row = session.get(token.Token, id)
        for name, value in columns.items():
            setattr(row, name, value)


def test_a_new_token_shows_its_key(made, alice, state):
    assert (made["name"], made["status"], made["user_id"], made["models"], made["subnet"]) == ("mine", 1, alice.id, None, "")
    assert len(made["key"]) == 48 and made["key"].isalnum()
    assert made["created_time"] == made["accessed_time"] > 0
    assert state.caller(made["key"]).token_id == made["id"]


def test_zero_expiry_means_never(as_, alice):
    assert as_(alice).data("POST", "/api/token/", {"name": "x"})["expired_time"] == -1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": "名" * 31}, "参数错误：令牌名称过长"),
        ({"subnet": "10.0.0.0/8,nonsense"}, "参数错误：无效的网段：'nonsense' does not appear to be an IPv4 or IPv6 network"),
        ({"remain_quota": -5}, "参数错误：令牌额度不能为负数"),
        ({"unlimited_quota": 1}, "无效的参数：unlimited_quota 应为布尔值"),
        ({"remain_quota": 1.5}, "无效的参数：remain_quota 应为整数"),
    ],
)
def test_bad_tokens(as_, alice, made, change, message):
    assert as_(alice).refused("POST", "/api/token/", NEW | change) == message
    assert as_(alice).refused("PUT", "/api/token/", NEW | {"id": made["id"]} | change) == message


def test_thirty_characters_of_any_script_are_a_name(as_, alice):
    as_(alice).data("POST", "/api/token/", NEW | {"name": "名" * 30})


def test_a_change_overwrites_everything_but_the_status(as_, alice, made):
    body = {
        "id": made["id"],
        "name": "other",
        "models": "gpt-4o, gpt-4o-mini",
        "subnet": "10.0.0.0/8",
        "status": 2,
        "concurrency": 3,
    }
    shown = as_(alice).data("PUT", "/api/token/", body)
    assert (shown["name"], shown["remain_quota"], shown["expired_time"], shown["status"]) == ("other", 0, 0, 1)
    assert (shown["models"], shown["subnet"], shown["concurrency"], shown["key"]) == (
        "gpt-4o,gpt-4o-mini",
        "10.0.0.0/8",
        3,
        made["key"],
    )


def test_status_only_changes_the_status_only(as_, alice, made, state):
    shown = as_(alice).data("PUT", "/api/token/?status_only=true", {"id": made["id"], "status": 2, "name": "ignored"})
    assert (shown["status"], shown["name"], shown["remain_quota"]) == (2, "mine", 100)
    assert state.caller(made["key"]).token_status == 2, "this process knows at once"
    assert as_(alice).data("PUT", "/api/token/?status_only=1", {"id": made["id"], "status": 1})["status"] == 1
    assert as_(alice).refused("PUT", "/api/token/?status_only=1", {"id": made["id"], "status": 9}) == "无效的参数"


def test_what_cannot_work_is_not_enabled(as_, alice, made, state):
    enable = {"id": made["id"], "status": 1}
    change(state, made["id"], status=token.Status.EXPIRED, expired_time=1)
    message = as_(alice).refused("PUT", "/api/token/?status_only=1", enable)
    assert message == "令牌已过期，无法启用，请先修改令牌过期时间，或者设置为永不过期"
    change(state, made["id"], status=token.Status.EXHAUSTED, expired_time=-1, remain_quota=0)
    message = as_(alice).refused("PUT", "/api/token/?status_only=1", enable)
    assert message == "令牌可用额度已用尽，无法启用，请先修改令牌剩余额度，或者设置为无限额度"
    change(state, made["id"], remain_quota=5)
    assert as_(alice).data("PUT", "/api/token/?status_only=1", enable)["status"] == 1


def test_other_people_s_tokens_do_not_exist(as_, bob, made):
    id = made["id"]
    assert as_(bob).refused("GET", f"/api/token/{id}") == "record not found"
    assert as_(bob).refused("PUT", "/api/token/", NEW | {"id": id}) == "record not found"
    assert as_(bob).refused("DELETE", f"/api/token/{id}") == "record not found"
    assert id not in [row["id"] for row in as_(bob).data("GET", "/api/token/")]
    assert as_(bob).data("GET", "/api/token/search?keyword=mine") == []


def test_what_a_worker_holds_is_still_the_token_s(as_, alice, made, state):
    with state.databases.transaction() as session:
        session.get(token.Token, made["id"]).remain_quota = 60
        session.add(ledger.Lease(worker="w", kind="token", owner_id=made["id"], serial=1, amount=40, spent=5, created_at=1))
    assert as_(alice).data("GET", f"/api/token/{made['id']}")["remain_quota"] == 95
    assert as_(alice).data("GET", "/api/token/")[0]["remain_quota"] == 95
    assert as_(alice).data("PUT", "/api/token/", NEW | {"id": made["id"], "remain_quota": 10})["remain_quota"] == 10


def test_lists_can_be_ordered(as_, alice):
    for name, values in {"a": {"remain_quota": 5}, "b": {"unlimited_quota": True}, "c": {"remain_quota": 7}}.items():
        as_(alice).data("POST", "/api/token/", {"name": name} | values)
    names = lambda query: [row["name"] for row in as_(alice).data("GET", f"/api/token/?{query}")][:4]  # noqa: E731
    assert names("") == ["c", "b", "a", "alice's"]
    assert names("order=remain_quota") == ["b", "alice's", "c", "a"]
    assert names("order=nonsense") == names("")


def test_deleting(as_, alice, made, state):
    assert state.caller(made["key"])
    as_(alice).data("DELETE", f"/api/token/{made['id']}/")
    assert state.caller(made["key"]) is None
    assert as_(alice).refused("DELETE", f"/api/token/{made['id']}") == "record not found"
