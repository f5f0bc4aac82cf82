"""Redemption codes through the API."""

import gevent
import pytest

from oneapi.models import ledger, redemption

NEW = {"name": "spring", "quota": 500, "count": 3}


def test_making_and_listing(as_, admin):
    keys = as_(admin).data("POST", "/api/redemption/", NEW)
    assert len(set(keys)) == 3 and all(len(key) == 32 for key in keys)
    rows = as_(admin).data("GET", "/api/redemption/")
    assert [row["key"] for row in rows] == keys[::-1]
    assert (rows[0]["quota"], rows[0]["status"], rows[0]["count"], rows[0]["user_id"]) == (500, 1, 0, admin.id)
    assert as_(admin).data("GET", f"/api/redemption/{rows[0]['id']}/") == rows[0]
    assert len(as_(admin).data("GET", "/api/redemption/search?keyword=spr")) == 3
    assert [row["id"] for row in as_(admin).data("GET", "/api/redemption/search?keyword=2")] == [2]


def test_zero_quota_means_a_hundred(as_, admin):
    as_(admin).data("POST", "/api/redemption/", {"name": "x", "quota": 0, "count": 1})
    assert as_(admin).data("GET", "/api/redemption/1")["quota"] == 100


@pytest.mark.parametrize(
    "change, message",
    [
        ({"name": ""}, "兑换码名称长度必须在1-20之间"),
        ({"name": "名" * 21}, "兑换码名称长度必须在1-20之间"),
        ({"count": 0}, "兑换码个数必须大于0"),
        ({"count": 101}, "一次兑换码批量生成的个数不能大于 100"),
        ({"quota": -1}, "quota 不能为负数！"),
        ({"count": "3"}, "无效的参数：count 应为整数"),
    ],
)
def test_bad_codes(as_, admin, change, message):
    assert as_(admin).refused("POST", "/api/redemption/", NEW | change) == message


def test_twenty_characters_of_any_script_are_a_name(as_, admin):
    as_(admin).data("POST", "/api/redemption/", NEW | {"name": "名" * 20})


def test_redeeming_pays_once(as_, admin, alice, bob, state):
    [key] = as_(admin).data("POST", "/api/redemption/", NEW | {"count": 1})
    assert as_(alice).data("POST", "/api/user/topup", {"key": f" {key} "}) == 500
    for again in (alice, bob):
        assert as_(again).refused("POST", "/api/user/topup", {"key": key}) == "兑换失败，该兑换码已被使用"
    assert as_(alice).data("GET", "/api/user/self")["quota"] == 10**9 + 500
    used = as_(admin).data("GET", "/api/redemption/1")
    assert (used["status"], used["redeemed_by"]) == (3, alice.id) and used["redeemed_time"]
    [entry] = as_(alice).data("GET", "/api/log/self?type=1")
    assert (entry["content"], entry["quota"]) == ("通过兑换码充值 ＄0.001000 额度", 500)
    with state.databases.transaction() as session:
        assert ledger.differences(session) == []


def test_of_many_at_once_one_wins(as_, admin, alice, bob):
    [key] = as_(admin).data("POST", "/api/redemption/", NEW | {"count": 1})
    tries = [gevent.spawn(as_(who), "POST", "/api/user/topup", {"key": key}) for who in [alice, bob] * 10]
    gevent.joinall(tries, raise_error=True)
    assert [each.value["success"] for each in tries].count(True) == 1
    assert sum(as_(who).data("GET", "/api/user/self")["quota"] for who in (alice, bob)) == 2 * 10**9 + 500


@pytest.mark.parametrize(
    "key, message", [("", "未提供兑换码"), ("nonsense", "兑换失败，无效的兑换码"), (5, "无效的参数：key 应为字符串")]
)
def test_bad_redemptions(as_, alice, key, message):
    assert as_(alice).refused("POST", "/api/user/topup", {"key": key}) == message


def test_a_disabled_or_expired_code_pays_nothing(as_, admin, alice, state):
    disabled, expired = as_(admin).data("POST", "/api/redemption/", NEW | {"count": 2})
    as_(admin).data("PUT", "/api/redemption/?status_only=true", {"id": 1, "status": 2})
    as_(admin).data("PUT", "/api/redemption/", {"id": 2, "expired_time": 5})
    assert as_(alice).refused("POST", "/api/user/topup", {"key": disabled}) == "兑换失败，该兑换码已被使用"
    assert as_(alice).refused("POST", "/api/user/topup", {"key": expired}) == "兑换失败，该兑换码已过期"
    as_(admin).data("PUT", "/api/redemption/?status_only=true", {"id": 1, "status": 1})
    assert as_(alice).data("POST", "/api/user/topup", {"key": disabled}) == 500


def test_changing(as_, admin, alice):
    [key] = as_(admin).data("POST", "/api/redemption/", NEW | {"count": 1})
    shown = as_(admin).data("PUT", "/api/redemption/", {"id": 1, "name": "autumn", "quota": 7, "status": 2})
    assert (shown["name"], shown["quota"], shown["status"]) == ("autumn", 7, 1)
    assert as_(admin).refused("PUT", "/api/redemption/", {"id": 1, "quota": -7}) == "quota 不能为负数！"
    assert as_(admin).refused("PUT", "/api/redemption/?status_only=1", {"id": 1, "status": 3}) == "无效的参数"
    as_(alice).data("POST", "/api/user/topup", {"key": key})
    assert as_(admin).refused("PUT", "/api/redemption/?status_only=1", {"id": 1, "status": 1}) == "已使用的兑换码无法修改"


def test_deleting(as_, admin, state):
    as_(admin).data("POST", "/api/redemption/", NEW)
    as_(admin).data("DELETE", "/api/redemption/1")
    as_(admin).data("DELETE", "/api/redemption/1/")
    assert as_(admin).refused("GET", "/api/redemption/1") == "record not found"
    with state.databases.transaction() as session:
        assert session.query(redemption.Redemption).count() == 2


def test_an_attempt_that_is_repeated_is_told_the_same(as_, admin, alice, bob):
    first, second = as_(admin).data("POST", "/api/redemption/", NEW | {"count": 2})
    for _ in range(3):
        assert as_(alice).data("POST", "/api/user/topup", {"key": first}, Idempotency_Key="try-1") == 500
    assert as_(alice).data("GET", "/api/user/self")["quota"] == 10**9 + 500
    assert len(as_(alice).data("GET", "/api/log/self?type=1")) == 1
    other = as_(alice)("POST", "/api/user/topup", {"key": second}, Idempotency_Key="try-1")
    said = "该 Idempotency-Key 已用于另一个兑换码"
    assert other == {"success": False, "message": said, "errors": {"Idempotency-Key": said}}
    for who, attempt in ((bob, "try-1"), (alice, "try-2"), (alice, "")):
        again = as_(who).refused("POST", "/api/user/topup", {"key": first}, Idempotency_Key=attempt)
        assert again == "兑换失败，该兑换码已被使用", "somebody else's attempt, or another one, is no repetition"


def test_one_attempt_at_once_many_times_counts_once(as_, admin, alice):
    [key] = as_(admin).data("POST", "/api/redemption/", NEW | {"count": 1})
    tries = [gevent.spawn(as_(alice).data, "POST", "/api/user/topup", {"key": key}, Idempotency_Key="x" * 300) for _ in range(12)]
    gevent.joinall(tries, raise_error=True)
    assert {each.value for each in tries} == {500}
    assert as_(alice).data("GET", "/api/user/self")["quota"] == 10**9 + 500
