"""Every route of the management API: both slash forms, every role, the exact answer, and the OpenAPI document beside it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import answers
import pytest
from answers import misfit
from fake_mail import Mailbox
from jsonschema import Draft202012Validator

from oneapi import access, jobs, messages
from oneapi.models import audit, code, log, rollup, user

ROLES = {None: "visitor", user.Role.USER: "alice", user.Role.ADMIN: "admin", user.Role.ROOT: "root"}
NOTHING = object()  # an answer without data
PASSWORD = "long enough"


class World:
    """One of everything. What a route uses up is made anew for every call: paths and bodies name these functions."""

    def __init__(self, state: Any, cast: dict[str, Any], channel: Callable[..., int], ask: Callable[..., Any]):
        self.state, self.cast, self._channel, self.ask, self.made = state, cast, channel, ask, 0

    def __getitem__(self, name: str) -> Any:  # for str.format_map
        if name in self.cast and name != "visitor":
            return self.cast[name].id
        return getattr(self, name)()

    def number(self) -> int:
        self.made += 1
        return self.made

    def channel(self) -> int:
        return self._channel(name=f"channel {self.number()}", models="gpt-4o", balance=1.5)

    def disabled(self) -> str:
        self._channel(status=2)
        return "disabled"

    def token(self) -> int:
        body = {"name": f"token {self.number()}", "remain_quota": 5, "models": "gpt-4o", "subnet": "10.0.0.0/8"}
        return self.ask("alice").data("POST", "/api/token/", body)["id"]

    def key(self) -> str:
        [key] = self.ask("admin").data("POST", "/api/redemption/", {"name": "code", "quota": 7, "count": 1})
        return key

    def redemption(self) -> int:
        self.key()
        return self.ask("admin").data("GET", "/api/redemption/")[0]["id"]

    def name(self) -> str:
        return f"person{self.number()}"

    def someone(self) -> str:
        name = self.name()
        self.ask("admin").data("POST", "/api/user/", {"username": name, "password": PASSWORD})
        return name

    def person(self) -> int:
        return self.ask("admin").data("GET", f"/api/user/search?keyword={self.someone()}")[0]["id"]

    def email(self) -> str:
        """An address that 'secret' proves, as a mail would have brought it."""
        address = f"{self.number()}@example.com"
        with self.state.databases.transaction() as session:
            code.issue(session, "email", address, "secret", expires_at=2**40)
        return address

    def forgotten(self) -> str:
        """The address of an account that 'secret' gives a new password to."""
        id, address = self.person(), self.email()
        with self.state.databases.transaction() as session:
            session.get(user.User, id).email = address
            code.issue(session, "reset", address, "secret", expires_at=2**40, data=str(id))
        return address

    def job(self) -> str:
        jobs.wait()
        return "channel-tests"

    def old(self) -> int:
        self.write(type=2, created_at=100)
        return 200

    def write(self, **columns: Any) -> None:
        alice = self.cast["alice"]
        row = {"user_id": alice.id, "username": "alice", "type": 2, "content": "used", "detail": '{"price": 1}', "channel_id": 1}
        with self.state.databases.logs() as session:
            session.add(log.Log(**row | {"created_at": int(self.state.clock()), "quota": 3, "model_name": "gpt-4o"} | columns))

    def use(self) -> None:
        """Some consumption of alice's today."""
        hour = int(self.state.clock()) // 3600 * 3600
        more = {"prompt_tokens": 3, "completion_tokens": 4, "elapsed_time": 5, "requests": 2, "quota": 10}
        with self.state.databases.transaction() as session:
            who = {"user_id": self.cast["alice"].id, "token_id": 1, "channel_id": 1, "model_name": "gpt-4o"}
            session.add(rollup.Hour(hour=hour, **who, **more))
        self.write()
        self.write(type=5, user_id=0, username="")


@dataclass(frozen=True)
class Call:
    """How a route is asked and what it answers. `least` says whose call it is when that is not the guard's own role."""

    path: str
    data: Any = NOTHING
    body: Any = None
    more: dict[str, Any] = field(default_factory=dict)
    listed: bool = False  # the whole length of the list stands in a header
    bare: Any = None  # the whole answer, where there is no envelope
    message: Any = ""
    audited: str = ""  # the act that is written down
    once: bool = False  # ends the session or the account that it is asked with


CALLS: dict[str, Call] = {
    "GET /api/status": Call("/api/status", answers.STATUS),
    "GET /api/notice": Call("/api/notice", str),
    "GET /api/about": Call("/api/about", str),
    "GET /api/home_page_content": Call("/api/home_page_content", str),
    "GET /api/models": Call("/api/models", {str(n): list for n in range(1, 52)}),
    "GET /api/group/": Call("/api/group/", [("default", "vip", "svip")]),
    "GET /api/openapi.json": Call("/api/openapi.json", bare={"openapi": str, "info": dict, "paths": dict, "components": dict}),
    # Coming and going
    "POST /api/user/login": Call("/api/user/login", answers.SIGNED_IN, {"username": "{someone}", "password": PASSWORD}),
    "GET /api/user/logout": Call("/api/user/logout"),
    "POST /api/user/register": Call("/api/user/register", body={"username": "{name}", "password": PASSWORD}),
    "GET /api/verification": Call("/api/verification?email={number}@example.com"),
    "GET /api/reset_password": Call("/api/reset_password?email={forgotten}"),
    "POST /api/user/reset": Call(
        "/api/user/reset", str, {"email": "{forgotten}", "token": "secret"}, audited="user.reset_password"
    ),
    "GET /api/oauth/state": Call("/api/oauth/state", str),
    "GET /api/oauth/email/bind": Call("/api/oauth/email/bind?email={email}&code=secret", audited="user.bind_email"),
    "GET /api/oauth/wechat": Call("/api/oauth/wechat?code={number}", answers.SIGNED_IN),
    "GET /api/oauth/wechat/bind": Call("/api/oauth/wechat/bind?code={number}", audited="user.bind"),
    "DELETE /api/oauth/<slug>": Call("/api/oauth/github", audited="user.unbind"),
    # Oneself
    "GET /api/user/self": Call("/api/user/self", answers.USER),
    "PUT /api/user/self": Call("/api/user/self", body={"display_name": "Alice {number}"}, audited="user.update_self"),
    "DELETE /api/user/self": Call("/api/user/self", audited="user.delete_self", once=True),
    "GET /api/user/token": Call("/api/user/token", str, audited="user.access_token", once=True),
    "GET /api/user/aff": Call("/api/user/aff", str),
    "POST /api/user/topup": Call("/api/user/topup", 7, {"key": "{key}"}),
    "GET /api/user/available_models": Call("/api/user/available_models", ["gpt-4o"]),
    "GET /api/user/dashboard": Call("/api/user/dashboard", [answers.DAY]),
    "GET /api/usage": Call("/api/usage?start_timestamp=0&end_timestamp=0", answers.USAGE),
    # People
    "GET /api/user/": Call("/api/user/?p=0&order=quota&page_size=2", [answers.USER], listed=True),
    "GET /api/user/search": Call("/api/user/search?keyword=ali", [answers.USER], listed=True),
    "GET /api/user/<id>": Call("/api/user/{alice}", answers.USER),
    "POST /api/user/": Call("/api/user/", body={"username": "{name}", "password": PASSWORD}, audited="user.create"),
    "PUT /api/user/": Call("/api/user/", body={"id": "{person:d}", "display_name": "Renamed"}, audited="user.update"),
    "DELETE /api/user/<id>": Call("/api/user/{person}", audited="user.delete"),
    "POST /api/user/manage": Call(
        "/api/user/manage", answers.MANAGED, {"username": "{someone}", "action": "disable"}, audited="user.disable"
    ),
    "POST /api/topup": Call(
        "/api/topup", body={"user_id": "{alice:d}", "quota": 5, "remark": "thanks"}, audited="user.top_up"
    ),
    # Channels
    "GET /api/channel/": Call("/api/channel/?p=0", [answers.CHANNEL], listed=True),
    "GET /api/channel/search": Call("/api/channel/search?keyword=channel", [answers.CHANNEL], listed=True),
    "GET /api/channel/models": Call("/api/channel/models", bare={"object": "list", "data": [answers.MODEL]}),
    "GET /api/channel/<id>": Call("/api/channel/{channel}", answers.CHANNEL),
    "POST /api/channel/": Call(
        "/api/channel/", body={"type": 1, "name": "new", "key": "sk-1\nsk-2", "models": "gpt-4o"}, audited="channel.create"
    ),
    "PUT /api/channel/": Call(
        "/api/channel/", answers.CHANNEL, {"id": "{channel:d}", "priority": 3}, audited="channel.update"
    ),
    "DELETE /api/channel/<id>": Call("/api/channel/{channel}", audited="channel.delete"),
    "DELETE /api/channel/disabled": Call("/api/channel/{disabled}", 1, audited="channel.delete"),
    "GET /api/channel/test/<id>": Call(
        "/api/channel/test/{channel}?model=gpt-4o", message="Hello!", more={"time": float, "modelName": "gpt-4o"}
    ),
    "GET /api/channel/test": Call("/api/channel/test?scope=disabled", audited="job.begin"),
    "GET /api/channel/update_balance": Call("/api/channel/update_balance", audited="job.begin"),
    "GET /api/channel/update_balance/<id>": Call("/api/channel/update_balance/{channel}", more={"balance": float}),
    "GET /api/channel/fetch_models/<id>": Call("/api/channel/fetch_models/{channel}", [str]),
    # Tokens
    "GET /api/token/": Call("/api/token/?p=0&order=used_quota", [answers.TOKEN], listed=True),
    "GET /api/token/search": Call("/api/token/search?keyword=alice", [answers.TOKEN], listed=True),
    "GET /api/token/<id>": Call("/api/token/{token}", answers.TOKEN),
    "POST /api/token/": Call("/api/token/", answers.TOKEN | {"models": None, "subnet": ""}, {"name": "new", "remain_quota": 5}),
    "PUT /api/token/": Call("/api/token/?status_only=true", answers.TOKEN | {"status": 2}, {"id": "{token:d}", "status": 2}),
    "DELETE /api/token/<id>": Call("/api/token/{token}"),
    # Codes
    "GET /api/redemption/": Call("/api/redemption/?p=0", [answers.REDEMPTION], listed=True),
    "GET /api/redemption/search": Call("/api/redemption/search?keyword=co", [answers.REDEMPTION], listed=True),
    "GET /api/redemption/<id>": Call("/api/redemption/{redemption}", answers.REDEMPTION),
    "POST /api/redemption/": Call(
        "/api/redemption/", [str], {"name": "spring", "quota": 9, "count": 2}, audited="redemption.create"
    ),
    "PUT /api/redemption/": Call(
        "/api/redemption/", answers.REDEMPTION, {"id": "{redemption:d}", "name": "autumn"}, audited="redemption.update"
    ),
    "DELETE /api/redemption/<id>": Call("/api/redemption/{redemption}", audited="redemption.delete"),
    # Settings
    "GET /api/option/": Call("/api/option/", [{"key": str, "value": str}]),
    "PUT /api/option/": Call("/api/option/", body={"key": "SystemName", "value": "Gate {number}"}, audited="option.update"),
    # Logs
    "GET /api/log/": Call("/api/log/?p=0&type=2&username=alice&channel=1", [answers.LOG], listed=True),
    "GET /api/log/search": Call("/api/log/search?keyword=us", [answers.LOG]),
    "GET /api/log/stat": Call("/api/log/stat?username=alice", {"quota": 3}),
    "DELETE /api/log/": Call("/api/log/?target_timestamp={old}", 1, audited="log.delete"),
    "GET /api/log/self": Call("/api/log/self?p=0&type=2", [answers.OWN_LOG], listed=True),
    "GET /api/log/self/search": Call("/api/log/self/search?keyword=2", [answers.OWN_LOG]),
    "GET /api/log/self/stat": Call("/api/log/self/stat?model_name=gpt-4o", {"quota": 3}),
    # What runs by itself
    "GET /api/job/": Call("/api/job/", answers.JOBS),
    "POST /api/job/<name>": Call("/api/job/{job}", int, audited="job.begin"),
    "DELETE /api/job/<name>": Call("/api/job/sweep", False),
    "GET /api/audit/": Call("/api/audit/?p=0&noun=option", [answers.AUDIT], listed=True),
}
# They lead through another's server first: tests/login walks there and back and holds the answer against the same shapes.
ELSEWHERE = {"GET /api/oauth/github", "GET /api/oauth/lark", "GET /api/oauth/oidc"}


def test_every_route_has_its_call(app):
    routes = {f"{method} {rule}" for method, rule in access.guards(app)}
    assert {route for route in routes if "<path:path>" not in route and not route.endswith(" /api/")} == set(CALLS) | ELSEWHERE


@pytest.fixture
def world(state, alice, admin, root, channel, vendor, as_, put, mail_port) -> World:
    cast = {"visitor": None, "alice": alice, "admin": admin, "root": root}
    made = World(state, cast, channel, lambda name: as_(cast[name]))
    put(WeChatAuthEnabled="true", WeChatServerAddress=vendor.url, WeChatServerToken="x")
    put(SMTPServer="127.0.0.1", SMTPPort=str(mail_port), SMTPFrom="gateway@example.com")
    made.channel()
    made.redemption()
    made.use()
    jobs.run(state, "channel-tests")
    return made


@pytest.fixture(scope="module")
def mail_port():
    with Mailbox() as box:
        yield box.port


def filled(value: Any, world: World) -> Any:
    """A path or body with its names replaced; {name:d} becomes a number."""
    if isinstance(value, dict):
        return {name: filled(each, world) for name, each in value.items()}
    if not isinstance(value, str) or "{" not in value:
        return value
    return int(value.format_map(world)) if value.endswith(":d}") else value.format_map(world)


def other_slash(path: str) -> str:
    """The same path with a slash at its end, or without."""
    where, mark, query = path.partition("?")
    return (where.removesuffix("/") if where.endswith("/") else where + "/") + mark + query


def prepare(route: str, vendor: Any, world: World) -> None:
    """What the vendor, or the WeChat server, says next."""
    jobs.wait()
    if "wechat" in route:
        vendor.says({"success": True, "message": "", "data": f"wx-{world.number()}"})
    elif "update_balance/" in route:
        vendor.says({"hard_limit_usd": 10, "has_payment_method": True}, {"total_usage": 250})
    elif "fetch_models" in route:
        vendor.says({"object": "list", "data": [{"id": "b"}, {"id": "a"}]})
    elif route.startswith("DELETE /api/oauth"):
        with world.state.databases.transaction() as session:
            session.get(user.User, world["alice"]).github_uid = "7"


@pytest.mark.parametrize("route", CALLS)
def test_the_answer(app, world, vendor, route):
    call, who = CALLS[route], ROLES[access.guards(app)[tuple(route.split(" ", 1))].allow]
    schema = documented(world, route)
    forms = [lambda path: path] if call.once else [lambda path: path, other_slash]
    for form in forms:
        prepare(route, vendor, world)
        path, body = form(filled(call.path, world)), filled(call.body, world)
        known = acts(world)
        answer = world.ask(who).raw(route.split()[0], path, body)
        said = answer.get_json()
        assert answer.status_code == 200 and answer.content_type == "application/json; charset=utf-8", said
        data = {} if call.data is NOTHING else {"data": call.data}
        expected = call.bare or {"success": True, "message": call.message} | data | call.more
        assert misfit(said, expected) == ""
        assert ("X-Total-Count" in answer.headers) == call.listed
        if call.listed:
            assert int(answer.headers["X-Total-Count"]) >= len(said["data"])
        assert set(acts(world)[len(known) :]) == ({call.audited} if call.audited else set())
        Draft202012Validator(schema["answer"]).validate(said)
        assert {name for name, _ in parse_qsl(urlsplit(path).query)} <= schema["query"]
        assert set(body or ()) <= schema["body"]
    jobs.wait()


def acts(world: World) -> list[str]:
    with world.state.databases.transaction() as session:
        return [row.action for row in session.query(audit.Audit).order_by(audit.Audit.id)]


def documented(world: World, route: str) -> dict[str, Any]:
    """What the OpenAPI document says of a route."""
    document = world.ask("visitor")("GET", "/api/openapi.json")
    method, path = route.split()
    told = document["paths"][re.sub(r"<(\w+)>", r"{\1}", path)][method.lower()]
    answer = told["responses"]["200"]["content"]["application/json"]["schema"]
    body = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return {
        "answer": answer | {"components": document["components"]},
        "query": {each["name"] for each in told["parameters"] if each["in"] == "query"},
        "body": set(body.get("properties", ())),
    }


# Who may not

SIGNED_OUT = ("无权进行此操作，未登录且未提供 access token", "Not signed in, and no access token was given.")
BAD_TOKEN = ("无权进行此操作，access token 无效", "The access token is not valid.")
TOO_LOW = ("无权进行此操作，权限不足", "Your role does not allow this.")
BANNED = ("用户已被封禁", "This account is disabled.")


def test_who_may_not_is_told_so_in_both_languages(app, world, state, person):
    banned = person("banned", status=2)
    for (method, rule), guard in access.guards(app).items():
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
    assert state.settings.system_name == "One API"


def test_whoever_is_higher_may_what_the_lower_may(app, world, vendor):
    """Root may everything that has an answer for an administrator, and an administrator what a user may."""
    higher = {"visitor": ("alice", "admin", "root"), "alice": ("admin", "root"), "admin": ("root",), "root": ()}
    for route, call in CALLS.items():
        lowest = ROLES[access.guards(app)[tuple(route.split(" ", 1))].allow]
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
    ("visitor", "GET /api/verification?email={forgotten}", None, "email_taken", "email", "邮箱地址已被占用"),
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
    ("visitor", "GET /api/oauth/wechat", None, "invalid_parameter", "code", "无效的参数"),
    ("alice", "GET /api/oauth/email/bind?email={email}&code=x", None, "bad_code", "verification_code", "验证码错误或已过期"),
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
