"""The contract of the management API: how each route is asked and what it answers, whatever the database beneath."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import answers
from answers import misfit
from flask import Flask
from jsonschema import Draft202012Validator, ValidationError

from oneapi import doors, jobs
from oneapi.actions import SYSTEM, options
from oneapi.models import audit, code, log, rollup, user

ZH = {"Accept-Language": "zh-CN,zh;q=0.9"}
ROLES = {None: "visitor", user.Role.USER: "alice", user.Role.ADMIN: "admin", user.Role.ROOT: "root"}
NOTHING = object()  # an answer without data
PASSWORD = "long enough"


class Api:
    """Calls of one person, or of a visitor, each with a client of its own; answers are JSON, refusals Chinese."""

    def __init__(self, app: Flask, token: str = ""):
        self.app, self.headers = app, ZH | ({"Authorization": f"Bearer {token}"} if token else {})

    def raw(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        more = {} if body is None else {"json": body}
        return self.app.test_client().open(path, method=method, headers=self.headers | sent, **more)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = self.raw(method, path, body, **headers)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()

    def data(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The data of an answer that must be a success."""
        said = self(method, path, body, **headers)
        assert said["success"] is True, said
        return said.get("data")

    def refused(self, method: str, path: str, body: Any = None, **headers: str) -> str:
        """The message of an answer that must be a refusal."""
        said = self(method, path, body, **headers)
        assert said["success"] is False, said
        return said["message"]


class World:
    """One of everything. What a route uses up is made anew for every call: paths and bodies name these functions."""

    def __init__(self, state: Any, cast: dict[str, Any], channel: Callable[..., int], ask: Callable[..., Any]):
        self.state, self.cast, self._channel, self.ask, self.made = state, cast, channel, ask, 0

    def __getitem__(self, name: str) -> Any:  # for str.format_map
        if name in self.cast and name != "visitor":
            return self.cast[name].id
        return getattr(self, name)()

    def furnish(self, vendor: Any, mail_port: int) -> "World":
        """Let there be one of everything, a WeChat server and a mail server."""
        wechat = {"WeChatAuthEnabled": "true", "WeChatServerAddress": vendor.url, "WeChatServerToken": "x"}
        mails = {"SMTPServer": "127.0.0.1", "SMTPPort": str(mail_port), "SMTPFrom": "gateway@example.com"}
        options.save(self.state, SYSTEM, wechat | mails | {"RegisterEnabled": "true"})
        self.channel()
        self.redemption()
        self.use()
        jobs.run(self.state, "channel-tests", ids=[])
        return self

    def number(self) -> int:
        self.made += 1
        return self.made

    def me(self) -> str:
        return self.cast["alice"].username

    def password(self) -> str:
        return self.cast["alice"].password

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
        row = {"user_id": alice.id, "username": alice.username, "type": 2, "content": "used", "channel_id": 1}
        row |= {"detail": '{"price": 1}'}
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
        self.write(type=6, quota=0, detail='{"status": 502, "code": "vendor_error", "attempts": []}')


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
    "GET /api/oauth/email/bind": Call(
        "/api/oauth/email/bind?email={email}&code=secret", body={"password": "{password}"}, audited="user.bind_email"
    ),
    "POST /api/oauth/wechat": Call("/api/oauth/wechat?code={number}", answers.SIGNED_IN),
    "GET /api/oauth/wechat/bind": Call("/api/oauth/wechat/bind?code={number}", audited="user.bind"),
    "DELETE /api/oauth/<slug>": Call("/api/oauth/github", audited="user.unbind"),
    # Oneself
    "GET /api/user/self": Call("/api/user/self", answers.USER),
    "PUT /api/user/self": Call("/api/user/self", body={"display_name": "Alice {number}"}, audited="user.update_self"),
    "DELETE /api/user/self": Call("/api/user/self", audited="user.delete_self", once=True),
    "DELETE /api/user/self/sessions": Call("/api/user/self/sessions", audited="user.end_sessions"),
    "GET /api/user/token": Call("/api/user/token", str, audited="user.access_token", once=True),
    "GET /api/user/aff": Call("/api/user/aff", str),
    "POST /api/user/topup": Call("/api/user/topup", 7, {"key": "{key}"}),
    "GET /api/user/available_models": Call("/api/user/available_models", [str]),
    "GET /api/user/dashboard": Call("/api/user/dashboard", [answers.DAY]),
    "GET /api/usage": Call("/api/usage?start_timestamp=0&end_timestamp=0", answers.USAGE),
    # People
    "GET /api/user/": Call("/api/user/?p=0&order=quota&page_size=2", [answers.USER], listed=True),
    "GET /api/user/search": Call("/api/user/search?keyword={me}", [answers.USER], listed=True),
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
    "DELETE /api/channel/disabled": Call("/api/channel/{disabled}", int, audited="channel.delete"),
    "GET /api/channel/test/<id>": Call(
        "/api/channel/test/{channel}?model=gpt-4o", message="Hello!", more={"time": float, "modelName": "gpt-4o"}
    ),
    "GET /api/channel/test": Call("/api/channel/test?scope=disabled", audited="job.begin"),
    "GET /api/channel/update_balance": Call("/api/channel/update_balance", audited="job.begin"),
    "GET /api/channel/update_balance/<id>": Call("/api/channel/update_balance/{channel}", more={"balance": float}),
    "GET /api/channel/fetch_models/<id>": Call("/api/channel/fetch_models/{channel}", [str], audited="channel.fetch_models"),
    # Tokens
    "GET /api/token/": Call("/api/token/?p=0&order=used_quota", [answers.TOKEN], listed=True),
    "GET /api/token/search": Call("/api/token/search?keyword={me}", [answers.TOKEN], listed=True),
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
    "GET /api/log/": Call("/api/log/?p=0&type=2&username={me}&channel=1", [answers.LOG], listed=True),
    "GET /api/log/search": Call("/api/log/search?keyword=us", [answers.LOG]),
    "GET /api/log/stat": Call("/api/log/stat?username={me}", {"quota": 3}),
    "DELETE /api/log/": Call("/api/log/?target_timestamp={old}", 1, more={"job": int}, audited="log.delete"),
    "GET /api/log/self": Call("/api/log/self?p=0&type=2", [answers.OWN_LOG], listed=True),
    "GET /api/log/self/search": Call("/api/log/self/search?keyword=2", [answers.OWN_LOG]),
    "GET /api/log/self/stat": Call("/api/log/self/stat?model_name=gpt-4o", {"quota": 3}),
    # What runs by itself
    "GET /api/job/": Call("/api/job/", answers.JOBS),
    "POST /api/job/<name>": Call("/api/job/{job}", int, audited="job.begin"),
    "DELETE /api/job/<name>": Call("/api/job/sweep", False),
    "POST /api/option/test_mail": Call("/api/option/test_mail", body={"to": "somebody@example.com"}),
    "GET /api/audit/": Call("/api/audit/?p=0&noun=option", [answers.AUDIT], listed=True),
}
# What a GET changes, a POST of the same address changes too.
CHANGING = (
    "/api/user/logout", "/api/verification", "/api/reset_password", "/api/oauth/email/bind", "/api/oauth/wechat/bind",
    "/api/user/token", "/api/user/aff", "/api/channel/test/<id>", "/api/channel/test", "/api/channel/update_balance",
    "/api/channel/update_balance/<id>", "/api/channel/fetch_models/<id>",
)  # fmt: skip
CALLS |= {f"POST {rule}": CALLS[f"GET {rule}"] for rule in CHANGING}
# They lead through another's server first: tests/login walks there and back and holds the answer against the same shapes.
ELSEWHERE = {"GET /api/oauth/github", "GET /api/oauth/lark", "GET /api/oauth/oidc"}
ELSEWHERE |= {"GET /api/oauth/wechat"}  # needs the token of a session: tests/test_matrix.py


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


def hold(app: Flask, world: World, vendor: Any, route: str) -> None:
    """Ask a route in both slash forms and hold its answer against its shape, the document and the audit trail."""
    call, who = CALLS[route], ROLES[guard_of(app, route).allow]
    told = documented(world, route)
    for form in [str] if call.once else [str, other_slash]:
        prepare(route, vendor, world)
        path, body = form(filled(call.path, world)), filled(call.body, world)
        known = acts(world)
        answer = world.ask(who).raw(route.split()[0], path, body)
        said = answer.get_json()
        assert answer.status_code == 200 and answer.content_type == "application/json; charset=utf-8", said
        data = {} if call.data is NOTHING else {"data": call.data}
        assert misfit(said, call.bare or {"success": True, "message": call.message} | data | call.more) == "", route
        assert ("X-Total-Count" in answer.headers) == call.listed, route
        assert not call.listed or int(answer.headers["X-Total-Count"]) >= len(said["data"]), route
        assert set(acts(world)[len(known) :]) == ({call.audited} if call.audited else set()), route
        Draft202012Validator(told["answer"]).validate(said)
        assert {name for name, _ in parse_qsl(urlsplit(path).query)} <= told["query"], route
        assert set(body or ()) <= told["body"], route
    jobs.wait()


def hold_all(app: Flask, world: World, vendor: Any, person: Callable[..., Any]) -> None:
    """Every route, one after the other; what is wrong with each is told together."""
    failed: dict[str, str] = {}
    for route, call in CALLS.items():
        try:
            hold(app, world, vendor, route)
        except (AssertionError, ValidationError) as error:
            failed[route] = str(error)
        if call.once:  # whoever called it is gone, or their access token is
            world.cast["alice"] = person(f"a{world.number()}lina")
            world.use()
    assert failed == {}


def guard_of(app: Flask, route: str) -> doors.Guard:
    method, path = route.split()
    return doors.guards(app)[method, path]


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
