"""What holds for every provider alike: coming in, coming again, binding, unbinding, and what is refused with which reason."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from bare import PASSWORDS
from flask.testing import FlaskClient
from ways import enter, session_cookie, signed_in, travel, way_back

from oneapi import login
from oneapi.models import audit

ZH = {"Accept-Language": "zh-CN"}
COLUMNS = {"github": "github_uid", "lark": "lark_id", "oidc": "oidc_id", "wechat": "wechat_id"}
BOUND = {
    "github": "该 GitHub 账户已被绑定", "lark": "该飞书账户已被绑定", "oidc": "该 OIDC 账户已被绑定",
    "wechat": "该微信账号已被绑定",
}  # fmt: skip
USED = {
    "github": "GitHub 拒绝了登录：The code passed is incorrect or expired.",
    "lark": "飞书 拒绝了登录：The code passed is incorrect or expired.",
    "oidc": "OIDC 拒绝了登录：The code passed is incorrect or expired.",
    "wechat": "验证码错误或已过期",
}
REDIRECTING = ["github", "lark", "oidc"]


@pytest.fixture(params=COLUMNS)
def name(request: pytest.FixtureRequest) -> str:
    request.getfixturevalue(request.param)
    return request.param


@pytest.fixture
def come(name: str, server: Any) -> Callable[..., Any]:
    """come(browser) is the whole way through the provider; the answer as JSON."""

    def go(browser: FlaskClient) -> Any:
        if name != "wechat":
            return travel(browser, name)
        code = f"code-{len(server.asked)}"
        server.left[code] = "wx-openid-1"
        bind = "/bind" if signed_in(browser) else ""
        said = browser.post(f"/api/oauth/wechat{bind}?code={code}", headers=ZH).get_json()
        return {"bound": bool(bind), "said": said["message"], **(said.get("data") or {})}

    return go


def test_a_stranger_registers_and_comes_again(client, app, name, come, people):
    first = come(client)
    row = people(first["id"])
    assert row[COLUMNS[name]] and signed_in(client) == row["username"]
    assert come(app.test_client())["id"] == first["id"]


def test_binding_coming_in_with_it_and_unbinding(client, app, name, come, people, state):
    enter(client, "alice", PASSWORDS["alice"])
    assert come(client)["bound"]
    assert people(username="alice")[COLUMNS[name]]
    assert come(app.test_client())["id"] == people(username="alice")["id"]
    assert client.delete(f"/api/oauth/{name}").get_json() == {"success": True, "message": ""}
    assert people(username="alice")[COLUMNS[name]] is None
    stranger = app.test_client()
    assert come(stranger)["id"] != people(username="alice")["id"], "it is nobody's any more"
    with state.databases.transaction() as session:
        acts = [row.action for row in session.query(audit.Audit) if row.actor_name == "alice"]
    assert acts == ["user.bind", "user.unbind"]


def test_what_is_bound_elsewhere_cannot_be_bound(client, app, name, come):
    come(app.test_client())
    enter(client, "bob", PASSWORDS["bob"])
    assert come(client)["said"] == BOUND[name]


def test_the_only_way_in_stays(client, name, come):
    come(client)
    assert client.delete(f"/api/oauth/{name}", headers=ZH).get_json()["message"] == "这是唯一的登录方式，请先设置密码"


def test_a_code_that_was_used_is_refused(client, app, name, server, setting):
    """Somebody saw the code on its way and comes with it too, in a browser that began a sign-in of its own."""
    if name == "wechat":
        for message in ("", USED[name]):
            assert app.test_client().post("/api/oauth/wechat?code=123456", headers=ZH).get_json()["message"] == message
        return
    browser, other = app.test_client(), app.test_client()
    states = [each.get("/api/oauth/state").get_json()["data"] for each in (browser, other)]
    code = server.authorize({"query": {}}, "").partition("code=")[2].partition("&")[0]
    answers = [
        each.get(f"/api/oauth/{name}?code={code}&state={state}", headers=ZH).get_json()
        for each, state in zip((browser, other), states, strict=True)
    ]
    assert [each["message"] for each in answers] == ["", USED[name]]
    assert signed_in(browser) and signed_in(other) == ""


@pytest.mark.parametrize("name", REDIRECTING)
def test_coming_back_twice_or_late_or_from_elsewhere_is_refused(client, app, request, name, state):
    request.getfixturevalue(name)
    back = way_back(client, name)
    assert app.test_client().get(back).get_json()["refused"] == "state_differs", "another browser"
    cookie = client.get_cookie(session_cookie(client)).value
    assert client.get(back).status_code == 200
    client.set_cookie(session_cookie(client), cookie)
    assert client.get(back).get_json()["refused"] == "state_differs", "again, with the cookie of before"
    late = app.test_client()
    back = way_back(late, name)
    state.clock.now += login.SECONDS + 1
    answer = late.get(back).get_json()
    assert (answer["refused"], answer["said"]) == ("state_differs", "state is empty or not same")
    assert signed_in(late) == ""


@pytest.mark.parametrize("name", REDIRECTING)
def test_saying_no_there_is_told_here(client, app, request, name):
    request.getfixturevalue(name)
    state = dict(part.split("=", 1) for part in urlsplit(way_back(client, name)).query.split("&"))["state"]
    answer = client.get(f"/oauth/{name}?error=access_denied&error_description=Not+today&state={state}").get_json()
    assert answer["said"].endswith("拒绝了登录：Not today")


def test_a_provider_that_is_away_is_named_and_nobody_comes_in(client, name, server):
    back = "/api/oauth/wechat?code=123456" if name == "wechat" else way_back(client, name)
    server.server.stop()
    said = client.open(back, method="POST" if name == "wechat" else "GET", headers=ZH).get_json()
    assert "无法连接至" in (said.get("said") or said["message"]) and signed_in(client) == ""
