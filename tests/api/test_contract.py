"""Every route of the management API: both slash forms, every role, the exact answer, and the OpenAPI document beside it."""

import re
from typing import Any

import pytest
from contract import CALLS, ELSEWHERE, PASSWORD, ROLES, World, filled, guard_of, hold_all, other_slash, prepare
from fake_mail import Mailbox

from oneapi import doors, jobs, messages


def test_every_route_has_its_call(app):
    routes = {f"{method} {rule}" for method, rule in doors.guards(app)}
    assert {route for route in routes if "<path:path>" not in route and not route.endswith(" /api/")} == set(CALLS) | ELSEWHERE


@pytest.fixture(scope="module")
def mail_port():
    with Mailbox() as box:
        yield box.port


@pytest.fixture
def world(state, alice, admin, root, channel, vendor, as_, mail_port) -> World:
    cast = {"visitor": None, "alice": alice, "admin": admin, "root": root}
    return World(state, cast, channel, lambda name: as_(cast[name])).furnish(vendor, mail_port)


def test_every_answer(app, world, vendor, person):
    hold_all(app, world, vendor, person)


# Who may not

SIGNED_OUT = ("无权进行此操作，未登录且未提供 access token", "Not signed in, and no access token was given.")
BAD_TOKEN = ("无权进行此操作，access token 无效", "The access token is not valid.")
TOO_LOW = ("无权进行此操作，权限不足", "Your role does not allow this.")
BANNED = ("用户已被封禁", "This account is disabled.")


def test_who_may_not_is_told_so_in_both_languages(app, world, person):
    banned = person("banned", status=2)
    for (method, rule), guard in doors.guards(app).items():
        if guard.allow is None:
            continue
        path = re.sub(r"<\w+>", "1", rule)
        lower = [name for role, name in ROLES.items() if role is not None and role < guard.allow]
        refusals = [("", 401, SIGNED_OUT), ("Bearer nobody", 200, BAD_TOKEN), (banned.token, 200, BANNED)]
        refusals += [(world.cast[name].token, 200, TOO_LOW) for name in lower]
        for token, status, (zh, en) in refusals:
            for where in (path, other_slash(path)):
                for language, said in (("zh-TW", zh), ("de", en)):
                    headers = {"Authorization": token, "Accept-Language": language}
                    answer = app.test_client().open(where, method=method, headers=headers)
                    told = (answer.status_code, answer.get_json())
                    assert told == (status, {"success": False, "message": said}), (method, where)


def test_whoever_is_higher_may_what_the_lower_may(app, world, vendor):
    """Root may everything that has an answer for an administrator, and an administrator what a user may."""
    higher = {"visitor": ("alice", "admin", "root"), "alice": ("admin", "root"), "admin": ("root",), "root": ()}
    for route, call in CALLS.items():
        lowest = ROLES[guard_of(app, route).allow]
        if call.once or "{token" in f"{call.path}{call.body}" or "oauth" in route or "dashboard" in route or "/self" in route:
            continue  # about what is one's own
        for who in higher[lowest]:
            prepare(route, vendor, world)
            answer = world.ask(who).raw(route.split()[0], filled(call.path, world), filled(call.body, world))
            assert answer.status_code == 200 and answer.get_json().get("success", True), (route, who, answer.get_json())
    jobs.wait()


# What is refused, and how

# (who, method and path, body, code, field, Chinese)
REFUSED: tuple[tuple[str, str, Any, str, str, str], ...] = (
    ("visitor", "GET /api/verification?email=none", None, "invalid_parameter", "email", "无效的参数"),
    ("visitor", "GET /api/reset_password?email=none", None, "invalid_parameter", "email", "无效的参数"),
    ("visitor", "POST /api/user/reset", {"email": "a@b.cc"}, "invalid_parameter", "email", "无效的参数"),
    (
        "visitor", "POST /api/user/reset", {"email": "{forgotten}", "token": "x"}, "bad_reset", "verification_code",
        "重置链接非法或已过期",
    ),
    (
        "visitor", "POST /api/user/reset", {"email": "{forgotten}", "token": "secret", "password": "short"}, "password_length",
        "password", "输入不合法 密码长度必须在 8-20 之间",
    ),
    ("visitor", "POST /api/user/login", {}, "invalid_parameter", "", "无效的参数"),
    (
        "visitor", "POST /api/user/login", {"username": "alice", "password": "x"}, "bad_login", "",
        "用户名或密码错误，或用户已被封禁",
    ),
    (
        "visitor", "POST /api/user/register", {"username": "alice", "password": PASSWORD}, "username_taken", "username",
        "用户名已被占用",
    ),
    (
        "visitor", "POST /api/user/register", {"username": "x" * 13, "password": PASSWORD}, "invalid_input", "username",
        "无效的输入，请检查您的输入",
    ),
    ("visitor", "GET /api/oauth/github?code=1", None, "state_differs", "", "state is empty or not same"),
    ("visitor", "POST /api/oauth/wechat", None, "invalid_parameter", "code", "无效的参数"),
    ("alice", "POST /api/oauth/email/bind?email={email}&code=x", None, "wrong_password", "current_password", "原密码错误"),
    (
        "alice", "POST /api/oauth/email/bind?email={email}&code=x", {"password": "{password}"}, "bad_code", "verification_code",
        "验证码错误或已过期",
    ),
    ("alice", "DELETE /api/oauth/nobody", None, "not_found", "", "record not found"),
    (
        "alice", "PUT /api/user/self", {"username": "x" * 13}, "invalid_input_because", "username",
        "输入不合法 username 过长或不符合要求",
    ),
    ("alice", "PUT /api/user/self", {"username": "admin"}, "username_taken", "username", "用户名已被占用"),
    ("alice", "PUT /api/user/self", {"username": 1}, "invalid_parameter", "username", "无效的参数"),
    ("root", "DELETE /api/user/self", None, "cannot_delete_root", "", "不能删除超级管理员账户"),
    ("alice", "POST /api/user/topup", {"key": ""}, "no_code", "key", "未提供兑换码"),
    ("alice", "POST /api/user/topup", {"key": "x"}, "redeem_invalid", "key", "兑换失败，无效的兑换码"),
    ("alice", "GET /api/usage?start_timestamp=9&end_timestamp=5", None, "invalid_parameter", "", "无效的参数"),
    ("admin", "GET /api/user/x", None, "invalid_parameter", "", "无效的参数"),
    ("admin", "GET /api/user/0", None, "id_missing", "", "id 为空！"),
    ("admin", "GET /api/user/{root}", None, "no_right_to_read", "", "无权获取同级或更高等级用户的信息"),
    ("admin", "POST /api/user/", {"username": "x"}, "invalid_parameter", "password", "无效的参数"),
    (
        "admin", "POST /api/user/", {"username": "x", "password": PASSWORD, "role": 10}, "no_right_to_create", "role",
        "无法创建权限大于等于自己的用户",
    ),
    ("admin", "PUT /api/user/", {"id": 0}, "invalid_parameter", "id", "无效的参数"),
    (
        "admin", "PUT /api/user/", {"id": "{root:d}", "status": 2}, "no_right_to_change", "",
        "无权更新同权限等级或更高权限等级的用户信息",
    ),
    (
        "admin", "PUT /api/user/", {"id": "{alice:d}", "role": 10}, "no_right_to_raise", "role",
        "无权将其他用户权限等级提升到大于等于自己的权限等级",
    ),
    ("root", "DELETE /api/user/{root}", None, "no_right_to_delete", "", "无权删除同权限等级或更高权限等级的用户"),
    ("admin", "POST /api/user/manage", {"username": "none", "action": "enable"}, "user_missing", "", "用户不存在"),
    (
        "root", "POST /api/user/manage", {"username": "rootling", "action": "disable"}, "cannot_disable_root", "",
        "无法禁用超级管理员用户",
    ),
    (
        "root", "POST /api/user/manage", {"username": "rootling", "action": "delete"}, "cannot_remove_root", "",
        "无法删除超级管理员用户",
    ),
    (
        "admin", "POST /api/user/manage", {"username": "alice", "action": "promote"}, "only_root_promotes", "",
        "普通管理员用户无法提升其他用户为管理员",
    ),
    ("root", "POST /api/user/manage", {"username": "admin", "action": "promote"}, "already_admin", "", "该用户已经是管理员"),
    (
        "root", "POST /api/user/manage", {"username": "rootling", "action": "demote"}, "cannot_demote_root", "",
        "无法降级超级管理员用户",
    ),
    ("root", "POST /api/user/manage", {"username": "alice", "action": "demote"}, "already_common", "", "该用户已经是普通用户"),
    ("admin", "POST /api/topup", {"user_id": 1, "quota": -1}, "negative_quota", "quota", "quota 不能为负数！"),
    ("admin", "POST /api/topup", {"user_id": 404, "quota": 1}, "user_missing", "user_id", "用户不存在"),
    ("admin", "GET /api/channel/404", None, "not_found", "", "record not found"),
    ("admin", "POST /api/channel/", {"type": 1, "key": ""}, "channel_key_missing", "key", "渠道密钥不能为空"),
    ("admin", "PUT /api/channel/", {"name": "x"}, "id_missing", "id", "id 为空！"),
    ("alice", "GET /api/token/404", None, "not_found", "", "record not found"),
    ("alice", "POST /api/token/", {"name": "x" * 31}, "token_name", "name", "参数错误：令牌名称过长"),
    (
        "alice", "POST /api/token/", {"name": "x", "remain_quota": -1}, "token_quota", "remain_quota",
        "参数错误：令牌额度不能为负数",
    ),
    ("alice", "DELETE /api/token/404", None, "not_found", "", "record not found"),
    ("admin", "GET /api/redemption/404", None, "not_found", "", "record not found"),
    ("admin", "POST /api/redemption/", {"name": "", "count": 1}, "code_name_length", "name", "兑换码名称长度必须在1-20之间"),
    ("admin", "POST /api/redemption/", {"name": "x", "count": 0}, "code_count_low", "count", "兑换码个数必须大于0"),
    (
        "admin", "POST /api/redemption/", {"name": "x", "count": 101}, "code_count_high", "count",
        "一次兑换码批量生成的个数不能大于 100",
    ),
    ("admin", "DELETE /api/log/", None, "target_timestamp", "", "target timestamp is required"),
    ("root", "PUT /api/option/", {"key": "Theme", "value": "neon"}, "theme", "Theme", "无效的主题"),
)  # fmt: skip
STATUSES = {"state_differs": 403}


def test_what_is_refused_says_why_and_where(app, world):
    for who, asked, body, code_, where, zh in REFUSED:
        method, path = asked.split()
        values = {"shortest": 8, "longest": 20, "field": where}
        for language, said in (("zh-CN", zh), ("en-GB", messages.text(code_, "en", **values))):
            answer = world.ask(who).raw(method, filled(path, world), filled(body, world), Accept_Language=language)
            expected = {"success": False, "message": said} | ({"errors": {where: said}} if where else {})
            assert (answer.status_code, answer.get_json()) == (STATUSES.get(code_, 200), expected), (asked, body)


def test_english_is_english_and_chinese_chinese():
    for code_, (zh, en) in messages.TEXTS.items():
        assert not re.search(r"[\u4e00-\u9fff]", en), code_
        assert zh == en or re.search(r"[\u4e00-\u9fff：]", zh) or zh == "{error}", code_


def test_all_settings_are_taken_as_they_are_listed(as_, root):
    """What GET lists can be sent back word by word: scripts copy settings from one server to another."""
    rows = as_(root).data("GET", "/api/option/")
    for row in rows:
        as_(root).data("PUT", "/api/option/", row)
    assert as_(root).data("GET", "/api/option/") == rows
