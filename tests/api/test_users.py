"""Users and top-ups through the API."""

import pytest

from oneapi.models import ledger, user

NEW = {"username": "carol", "password": "correct-horse"}


def row(state, id):
    with state.databases.transaction() as session:
        return session.get(user.User, id)


def test_lists_hold_no_secrets_and_can_be_ordered(as_, admin, alice, bob, state):
    with state.databases.transaction() as session:
        session.get(user.User, alice.id).used_quota = 9
    rows = as_(admin).data("GET", "/api/user/?order=used_quota")
    assert rows[0]["username"] == "alice"
    for shown in rows + as_(admin).data("GET", "/api/user/search?keyword=a") + [as_(admin).data("GET", f"/api/user/{alice.id}")]:
        assert "access_token" not in shown and shown["password"] == ""
    assert [shown["username"] for shown in as_(admin).data("GET", "/api/user/")] == ["bob", "alice", "admin"]


@pytest.mark.parametrize("keyword, names", [("al", ["alice"]), ("lic", []), ("%25", []), ("al@e", ["alice"])])
def test_search(as_, admin, alice, state, keyword, names):
    with state.databases.transaction() as session:
        session.get(user.User, alice.id).email = "al@example.com"
    assert [shown["username"] for shown in as_(admin).data("GET", f"/api/user/search?keyword={keyword}")] == names


def test_search_by_id_and_without_the_deleted(as_, admin, alice, bob):
    as_(admin).data("DELETE", f"/api/user/{bob.id}")
    assert [u["id"] for u in as_(admin).data("GET", f"/api/user/search?keyword={alice.id}")] == [alice.id]
    assert as_(admin).data("GET", f"/api/user/search?keyword={bob.id}") == []
    assert as_(admin).data("GET", "/api/user/search?keyword=deleted_") == []


def test_what_a_worker_holds_is_still_the_user_s(as_, admin, person, state):
    poor = person("poor", quota=100)
    with state.databases.transaction() as session:
        session.get(user.User, poor.id).quota = 60
        session.add(ledger.Lease(worker="w", kind="user", owner_id=poor.id, serial=1, amount=40, spent=5, created_at=1))
    assert as_(admin).data("GET", f"/api/user/{poor.id}")["quota"] == 95
    assert as_(poor).data("GET", "/api/user/self")["quota"] == 95


@pytest.mark.parametrize(
    "id, message", [("0", "id 为空！"), ("x", "无效的参数"), ("404", "record not found")],
)  # fmt: skip
def test_unknown_users(as_, admin, id, message):
    assert as_(admin).refused("GET", f"/api/user/{id}") == message


def test_nobody_reads_changes_or_deletes_their_equals(as_, admin, root, person):
    other = person("other", role=10)
    assert as_(admin).refused("GET", f"/api/user/{other.id}/") == "无权获取同级或更高等级用户的信息"
    assert (
        as_(admin).refused("PUT", "/api/user/", {"id": root.id, "display_name": "x"})
        == "无权更新同权限等级或更高权限等级的用户信息"
    )
    assert as_(admin).refused("DELETE", f"/api/user/{other.id}") == "无权删除同权限等级或更高权限等级的用户"
    assert as_(root).refused("DELETE", f"/api/user/{root.id}") == "无权删除同权限等级或更高权限等级的用户"
    assert as_(root).data("GET", f"/api/user/{root.id}")["role"] == 100


def test_an_administrator_makes_common_users(as_, admin, put, client):
    put(QuotaForNewUser="7")
    as_(admin).data("POST", "/api/user/", NEW | {"display_name": "Carol C."})
    assert client.post("/api/user/login", json=NEW).get_json()["data"]["role"] == 1
    me = client.get("/api/user/self").get_json()["data"]
    assert (me["display_name"], me["quota"]) == ("Carol C.", 7)
    assert len(client.get("/api/token/").get_json()["data"]) == 1


@pytest.mark.parametrize(
    "change, message",
    [
        ({"username": ""}, "无效的参数"),
        ({"password": ""}, "无效的参数"),
        ({"password": 5}, "无效的参数"),
        ({"password": "short"}, "无效的输入，请检查您的输入"),
        ({"username": "a" * 13}, "无效的输入，请检查您的输入"),
        ({"display_name": "a" * 21}, "无效的输入，请检查您的输入"),
        ({"role": 10}, "无法创建权限大于等于自己的用户"),
        ({"username": "alice"}, "用户名已被占用"),
        ({"group": "nowhere"}, "分组 nowhere 不存在"),
    ],
)
def test_bad_new_users(as_, admin, alice, change, message):
    assert as_(admin).refused("POST", "/api/user/", NEW | change) == message


def test_a_change_leaves_zero_and_empty_values_alone(as_, admin, alice, state):
    before = row(state, alice.id)
    as_(admin).data("PUT", "/api/user/", {"id": alice.id, "display_name": "", "quota": 0, "group": "vip", "username": "alison"})
    after = row(state, alice.id)
    assert (after.display_name, after.quota, after.group, after.username) == (before.display_name, before.quota, "vip", "alison")
    assert state.caller(alice.key).group == "vip", "this process knows at once"


def test_changing_a_balance_is_written_down_to_the_unit(as_, admin, alice, state, root):
    as_(admin).data("PUT", "/api/user/", {"id": alice.id, "quota": 500000})
    assert row(state, alice.id).quota == 500000
    with state.databases.transaction() as session:
        assert ledger.differences(session) == []
    [entry] = as_(admin).data("GET", "/api/log/?type=3")
    assert entry["content"] == "管理员将用户额度从 ＄2000.000000 额度修改为 ＄1.000000 额度"
    [act] = as_(root).data("GET", "/api/audit/?noun=user")
    assert act["difference"] == {"quota": [10**9, 500000]}
    as_(admin).data("PUT", "/api/user/", {"id": alice.id, "quota": 500000})
    assert len(as_(admin).data("GET", "/api/log/?type=3")) == 1, "nothing changed, nothing to tell"


def test_secrets_and_identities_cannot_be_written(as_, admin, alice, state):
    body = {"access_token": "x" * 32, "aff_code": "zzzz", "inviter_id": 9, "used_quota": 4, "github_id": "evil"}
    as_(admin).data("PUT", "/api/user/", {"id": alice.id} | body)
    assert as_(alice).data("GET", "/api/user/self")["aff_code"] == "alic"
    assert (row(state, alice.id).inviter_id, row(state, alice.id).used_quota, row(state, alice.id).github_id) == (None, 0, None)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"role": 10}, "无权将其他用户权限等级提升到大于等于自己的权限等级"),
        ({"role": 5}, "无效的参数"),
        ({"status": 3}, "无效的参数"),
        ({"password": "short"}, "无效的输入，请检查您的输入"),
        ({"username": "bob"}, "用户名已被占用"),
        ({"quota": -1}, "quota 不能为负数！"),
        ({"id": 0}, "无效的参数"),
        ({"id": 404}, "用户不存在"),
        ({"id": "1"}, "无效的参数"),
    ],
)
def test_bad_changes(as_, admin, alice, bob, change, message):
    assert as_(admin).refused("PUT", "/api/user/", {"id": alice.id} | change) == message


def test_a_long_old_user_name_does_not_stop_other_changes(as_, admin, person, state):
    long = person("github_1234567890")
    as_(admin).data("PUT", "/api/user/", {"id": long.id, "username": "github_1234567890", "display_name": "short"})
    assert row(state, long.id).display_name == "short"


@pytest.mark.parametrize("columns", [{"password": "another-one"}, {"role": 10}, {"status": 2}])
def test_a_new_password_role_or_status_ends_sessions(as_, root, alice, client, columns):
    client.post("/api/user/login", json={"username": "alice", "password": alice.password})
    as_(root).data("PUT", "/api/user/", {"id": alice.id} | columns)
    assert client.get("/api/user/self").status_code == 401


def test_managing(as_, admin, root, alice):
    manage = lambda who, name, action: as_(who).data("POST", "/api/user/manage", {"username": name, "action": action})  # noqa: E731
    assert (manage(admin, "alice", "disable")["status"], manage(admin, "alice", "enable")["status"]) == (2, 1)
    assert (manage(root, "alice", "promote")["role"], manage(root, "alice", "demote")["role"]) == (10, 1)
    shown = manage(admin, "alice", "delete")
    assert {name: value for name, value in shown.items() if value} == {"role": 1, "status": 3}


@pytest.mark.parametrize(
    "who, name, action, message",
    [
        ("admin", "nobody", "disable", "用户不存在"),
        ("admin", "", "disable", "用户不存在"),
        ("admin", "rootling", "disable", "无权更新同权限等级或更高权限等级的用户信息"),
        ("admin", "admin", "demote", "无权更新同权限等级或更高权限等级的用户信息"),
        ("admin", "alice", "promote", "普通管理员用户无法提升其他用户为管理员"),
        ("root", "rootling", "disable", "无法禁用超级管理员用户"),
        ("root", "rootling", "delete", "无法删除超级管理员用户"),
        ("root", "rootling", "demote", "无法降级超级管理员用户"),
        ("root", "admin", "promote", "该用户已经是管理员"),
        ("root", "alice", "demote", "该用户已经是普通用户"),
        ("root", "alice", "explode", "无效的参数：未知操作 explode"),
    ],
)
def test_bad_management(as_, request, admin, root, alice, who, name, action, message):
    someone = request.getfixturevalue(who)
    assert as_(someone).refused("POST", "/api/user/manage", {"username": name, "action": action}) == message


def test_deleting_frees_email_and_identities_and_stops_keys(as_, admin, alice, state, person):
    with state.databases.transaction() as session:
        found = session.get(user.User, alice.id)
        found.email, found.github_id, found.email_verified = "a@example.com", "alice-gh", True
    assert as_(admin)("DELETE", f"/api/user/{alice.id}") == {"success": True, "message": ""}
    gone = row(state, alice.id)
    assert (gone.status, gone.email, gone.github_id) == (3, None, None) and gone.username.startswith("deleted_")
    assert (
        as_().raw("GET", "/api/user/self", Authorization=alice.token).get_json()["message"] == "无权进行此操作，access token 无效"
    )
    assert state.caller(alice.key) is None
    person("alice")


def test_top_up_adds_and_logs(as_, admin, alice, state):
    as_(admin).data("POST", "/api/topup", {"user_id": alice.id, "quota": 500})
    as_(admin).data("POST", "/api/topup/", {"user_id": alice.id, "quota": 1, "remark": "gift"})
    assert row(state, alice.id).quota == 10**9 + 501
    entries = as_(admin).data("GET", "/api/log/?type=1")
    assert [(entry["content"], entry["quota"]) for entry in entries] == [("gift", 1), ("通过 API 充值 ＄0.001000 额度", 500)]


@pytest.mark.parametrize(
    "body, message",
    [
        ({"quota": -1}, "quota 不能为负数！"),
        ({"user_id": 404}, "用户不存在"),
        ({"quota": "5"}, "无效的参数：quota 应为整数"),
    ],
)
def test_bad_top_ups(as_, admin, alice, body, message):
    assert as_(admin).refused("POST", "/api/topup", {"user_id": alice.id, "quota": 5} | body) == message


@pytest.mark.parametrize("key", ["payment-1", "x" * 200])
def test_an_idempotency_key_counts_once(as_, admin, alice, bob, state, key):
    pay = lambda quota, who=alice: {"user_id": who.id, "quota": quota}  # noqa: E731
    for _ in range(3):
        as_(admin).data("POST", "/api/topup", pay(50), Idempotency_Key=key)
    assert row(state, alice.id).quota == 10**9 + 50
    assert len(as_(admin).data("GET", "/api/log/?type=1")) == 1
    for other in (pay(51), pay(50, bob)):
        message = as_(admin).refused("POST", "/api/topup", other, Idempotency_Key=key)
        assert message == "该 Idempotency-Key 已用于另一笔充值"


# How much a balance holds, and who tops up whom


@pytest.mark.parametrize("how", ["top-up", "set", "redemption"])
def test_a_balance_holds_at_most_2_to_the_53(as_, admin, alice, state, how):
    most = 2**53
    if how == "top-up":
        refused = [as_(admin).raw("POST", "/api/topup", {"user_id": alice.id, "quota": quota}) for quota in (2**62, most)]
    elif how == "set":
        refused = [as_(admin).raw("PUT", "/api/user/", {"id": alice.id, "quota": most + 1})]
    else:
        assert as_(admin).raw("POST", "/api/redemption/", {"name": "x", "quota": 2**62, "count": 1}).status_code == 400
        [key] = as_(admin).data("POST", "/api/redemption/", {"name": "x", "quota": most, "count": 1})
        refused = [as_(alice).raw("POST", "/api/user/topup", {"key": key})]
    for answer in refused:
        assert answer.status_code == 400 and answer.get_json()["message"].startswith("余额最多为 9007199254740992"), how
    assert as_(alice).data("GET", "/api/user/self")["quota"] == 10**9
    as_(admin).data("POST", "/api/topup", {"user_id": alice.id, "quota": most - 10**9})
    assert as_(alice).data("GET", "/api/user/self")["quota"] == most
    with state.databases.transaction() as session:
        assert ledger.differences(session) == []


def test_a_refused_code_can_be_redeemed_later(as_, admin, alice):
    [key] = as_(admin).data("POST", "/api/redemption/", {"name": "x", "quota": 2**53, "count": 1})
    as_(alice).raw("POST", "/api/user/topup", {"key": key})
    as_(admin).data("PUT", "/api/user/", {"id": alice.id, "quota": 1})
    assert as_(alice).raw("POST", "/api/user/topup", {"key": key}).status_code == 400
    assert as_(admin).data("GET", "/api/redemption/1")["status"] == 1


def test_an_inviter_with_the_most_quota_does_not_keep_others_out(as_, admin, alice, put):
    put(QuotaForInviter="100")
    as_(admin).data("POST", "/api/topup", {"user_id": alice.id, "quota": 2**53 - 10**9})
    code_ = as_(alice).data("POST", "/api/user/aff")
    as_().data("POST", "/api/user/register", {"username": "carol", "password": "correct-horse", "aff_code": code_})
    assert as_(alice).data("GET", "/api/user/self")["quota"] == 2**53


def test_administrators_top_up_neither_themselves_nor_root(as_, admin, root, alice):
    for target in (admin, root):
        said = as_(admin).raw("POST", "/api/topup", {"user_id": target.id, "quota": 5})
        assert said.status_code == 403 and said.get_json()["message"] == "管理员不能为自己或超级管理员充值"
        as_(root).data("POST", "/api/topup", {"user_id": target.id, "quota": 5})
    as_(admin).data("POST", "/api/topup", {"user_id": alice.id, "quota": 5})


def test_administrators_do_not_see_root(as_, admin, root, alice):
    for path in ("/api/user/?p=0", f"/api/user/search?keyword={root.username[:4]}", f"/api/user/search?keyword={root.id}"):
        names = {row["username"] for row in as_(admin).data("GET", path)}
        assert root.username not in names, path
        assert root.username in {row["username"] for row in as_(root).data("GET", path)}, path
    answer = as_(admin).raw("GET", "/api/user/?p=0")
    assert int(answer.headers["X-Total-Count"]) == len(answer.get_json()["data"])


def test_an_administrator_cannot_give_an_administrator_or_root_a_password(as_, admin, root, person, client):
    other = person("boss", role=10)
    for whom in (other, root):
        change = {"id": whom.id, "username": whom.username, "password": "of-my-choice"}
        assert as_(admin).refused("PUT", "/api/user/", change) == "无权更新同权限等级或更高权限等级的用户信息"
        login = {"username": whom.username, "password": whom.password}
        assert client.post("/api/user/login", json=login).get_json()["success"], "the old password still holds"
        assert not client.post("/api/user/login", json=login | {"password": "of-my-choice"}).get_json()["success"]
    as_(root).data("PUT", "/api/user/", {"id": other.id, "password": "of-root-s-choice"})
    login = {"username": other.username, "password": "of-root-s-choice"}
    assert client.post("/api/user/login", json=login).get_json()["success"]
