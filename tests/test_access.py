"""Who may come in: sessions, access tokens, roles, limits, proxies and other sites."""

import pytest
from bare import app as bare_app
from bare import bearer
from flask import Flask, jsonify, session
from flask.testing import FlaskClient

from oneapi import access, doors, proxies
from oneapi.models import user
from oneapi.models.user import Role

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9"}


def routes(app: Flask) -> Flask:
    """A few routes of each kind."""
    api = doors.GuardedBlueprint("test_api", __name__, dialect="api", url_prefix="/api/test")
    page = doors.GuardedBlueprint("test_pages", __name__, url_prefix="/test")

    @api.route("/", allow=Role.USER, methods=["GET", "POST"])
    @page.route("/", allow=Role.USER, methods=["GET", "POST"])
    def home() -> object:
        return jsonify(user=access.current_user.username, ip=access.client_ip())

    @api.route("/admin", allow=Role.ADMIN)
    @page.route("/admin", allow=Role.ADMIN)
    def admin() -> object:
        return jsonify(in_="yes")

    @api.route("/turn", allow=Role.USER, changes=True)
    def turn() -> object:
        return jsonify(turned=True)

    @api.route("/password", allow=Role.USER, unready=True)
    def password() -> object:
        return jsonify(open=True)

    @api.route("/enter/<name>", allow=None, methods=["POST"], critical=True)
    def enter(name: str) -> object:
        row = access.db.session.scalar(access.db.select(user.User).where(user.User.username == name))
        access.sign_in(row)
        session["kept"] = 1
        return jsonify(csrf=access.csrf_token(), ip=access.client_ip(), secure=access.request.is_secure)

    app.register_blueprint(api)
    app.register_blueprint(page)
    return app


@pytest.fixture
def app(tmp_path) -> Flask:
    return routes(bare_app(tmp_path))


@pytest.fixture
def client(app) -> FlaskClient:
    return app.test_client()


def change(app: Flask, name: str, **columns: object) -> None:
    with app.extensions["oneapi"].databases.transaction() as db:
        row = db.query(user.User).filter_by(username=name).one()
        for column, value in columns.items():
            setattr(row, column, value)


def test_a_route_without_a_guard_cannot_be_registered():
    blueprint = doors.GuardedBlueprint("open", __name__)
    with pytest.raises(TypeError, match="allow"):
        blueprint.route("/")(lambda: "")


@pytest.mark.parametrize(
    "headers, status, message",
    [
        ({}, 401, "无权进行此操作，未登录且未提供 access token"),
        ({"Authorization": "Bearer nobody"}, 200, "无权进行此操作，access token 无效"),
        (bearer("alice"), 200, "无权进行此操作，权限不足"),
        (bearer("admin"), 200, None),
        (bearer("root"), 200, None),
    ],
)
def test_the_api_refuses_in_an_envelope(client, headers, status, message):
    answer = client.get("/api/test/admin", headers=headers | CHINESE)
    assert answer.status_code == status
    assert answer.get_json() == ({"success": False, "message": message} if message else {"in_": "yes"})


def test_refusals_are_english_for_others(client):
    assert client.get("/api/test/").get_json()["message"].startswith("Not signed in")


@pytest.mark.parametrize("prefix", ["Bearer ", "bearer ", ""])
def test_an_access_token_may_be_called_bearer(client, prefix):
    token = bearer("alice")["Authorization"].removeprefix("Bearer ")
    assert client.get("/api/test/", headers={"Authorization": prefix + token}).get_json()["user"] == "alice"


@pytest.mark.parametrize("path", ["/api/test", "/api/test/", "/api/test/admin", "/api/test/admin/"])
def test_both_slash_forms_answer_without_a_redirect(client, path):
    assert client.get(path, headers=bearer("root")).status_code == 200


def test_the_session_beats_an_access_token(client):
    client.post("/api/test/enter/alice")
    assert client.get("/api/test/", headers=bearer("root")).get_json()["user"] == "alice"


def test_role_and_status_are_read_afresh(app, client):
    client.post("/api/test/enter/admin")
    assert client.get("/api/test/admin").get_json() == {"in_": "yes"}
    change(app, "admin", role=Role.USER)
    assert client.get("/api/test/admin", headers=CHINESE).get_json()["message"] == "无权进行此操作，权限不足"
    change(app, "admin", status=user.Status.DISABLED)
    assert client.get("/api/test/", headers=CHINESE).get_json()["message"] == "用户已被封禁"
    change(app, "admin", status=user.Status.ENABLED)
    assert client.get("/api/test/").status_code == 401, "being refused as disabled ended the session"


@pytest.mark.parametrize("columns", [{"session_epoch": 1}, {"status": user.Status.DELETED}])
def test_a_raised_epoch_or_a_deletion_ends_sessions(app, client, columns):
    client.post("/api/test/enter/alice")
    change(app, "alice", **columns)
    assert client.get("/api/test/").status_code == 401


def test_a_deleted_person_s_access_token_is_dead(app, client):
    change(app, "alice", status=user.Status.DELETED)
    assert (
        client.get("/api/test/", headers=bearer("alice") | CHINESE).get_json()["message"] == "无权进行此操作，access token 无效"
    )


def test_signing_in_rotates_the_session(client):
    with client.session_transaction() as before:
        before["planted"], before["csrf"] = "by someone else", "known"
    csrf = client.post("/api/test/enter/alice").get_json()["csrf"]
    with client.session_transaction() as after:
        assert "planted" not in after and csrf != "known" and after["kept"] == 1


def test_the_cookie_is_guarded(client):
    plain, device = client.post("/api/test/enter/alice").headers.getlist("Set-Cookie")
    assert plain.startswith("oneapi_session_") and device.startswith("oneapi_device_"), "programs may look at the first one only"
    assert "HttpOnly" in device and "SameSite=Lax" in device and "Secure" not in device
    assert "HttpOnly" in plain and "SameSite=Lax" in plain and "Path=/" in plain and "Secure" not in plain
    assert "Expires=" in plain
    secure = client.post("/api/test/enter/alice", headers={"X-Forwarded-Proto": "https"}).headers["Set-Cookie"]
    assert "Secure" in secure


@pytest.mark.parametrize(
    "method, path, headers, status",
    [
        ("POST", "/api/test/", {}, 200),  # a program
        ("POST", "/api/test/", {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 200),
        ("POST", "/api/test/", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/api/test/", {"Sec-Fetch-Site": "same-site"}, 403),
        ("POST", "/api/test/", {"Origin": "https://evil.example"}, 403),
        ("POST", "/api/test/", {"Origin": "null"}, 403),
        ("POST", "/api/test/", {"Origin": "http://localhost:3000"}, 200),  # the server address of the settings
        ("GET", "/api/test/turn", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", "/api/test/turn", {"Sec-Fetch-Site": "none"}, 403),  # an address typed or pasted
        ("GET", "/api/test/turn", {}, 403),  # a link on an http:// site: the browser sends neither header
        ("HEAD", "/api/test/turn", {}, 403),
        ("POST", "/api/test/", {"Origin": "http://LOCALHOST:80"}, 200),
        ("POST", "/api/test/", {"Origin": "https://localhost"}, 403),
        ("POST", "/api/test/", {"Origin": "http://localhost:81"}, 403),
        ("POST", "/api/test/", {"Origin": "http://localhost.evil.example"}, 403),
        ("POST", "/api/test/", {"Origin": "http://localhost:x"}, 403),
        ("POST", "/api/test/", {"Origin": "file://"}, 403),
        ("POST", "/api/test/", {"Origin": "http://gw.example:8080", "Sec-Fetch-Site": "same-origin"}, 200),
        ("POST", "/api/test/", {"Origin": "http://gw.example:8080", "X-Forwarded-Host": "gw.example:8080"}, 200),
        ("POST", "/api/test/", {"Origin": "http://gw.example:8080", "X-Forwarded-Host": "evil, gw.example:8080"}, 200),
        ("POST", "/api/test/", {"Origin": "http://gw.example:8080", "X-Forwarded-Host": "evil"}, 403),
        ("GET", "/api/test/", {"Sec-Fetch-Site": "cross-site"}, 200),
    ],
)
def test_changes_by_a_session_come_from_our_own_site(client, method, path, headers, status):
    client.post("/api/test/enter/alice")
    answer = client.open(path, method=method, headers=headers)
    assert answer.status_code == status


def test_the_origin_null_is_nobody_s_even_without_a_server_address(app, client):
    app.extensions["oneapi"].settings.server_address = ""
    client.post("/api/test/enter/alice")
    assert client.post("/api/test/", headers={"Origin": "null"}).status_code == 403
    assert client.post("/api/test/", headers={"Origin": "http://localhost"}).status_code == 200


def test_a_forwarded_host_is_believed_from_trusted_proxies_alone(client):
    client.post("/api/test/enter/alice")
    headers = {"Origin": "http://gw.example:8080", "X-Forwarded-Host": "gw.example:8080"}
    assert client.post("/api/test/", headers=headers, environ_base={"REMOTE_ADDR": "198.51.100.7"}).status_code == 403


def test_a_refused_origin_is_named_with_what_was_expected(client):
    client.post("/api/test/enter/alice")
    said = client.post("/api/test/", headers={"Origin": "http://gw.example:8080"}).get_json()["message"]
    assert "http://gw.example:8080" in said and "http://localhost, http://localhost:3000" in said and "SERVER_ADDRESS" in said


def test_a_get_that_changes_something_takes_the_token_of_the_session(client):
    csrf = client.post("/api/test/enter/alice").get_json()["csrf"]
    refused = client.get("/api/test/turn", headers={"X-CSRF-Token": csrf[:-1] + "!"})
    assert refused.status_code == 403 and "X-CSRF-Token" in refused.get_json()["message"]
    assert client.get("/api/test/turn", headers={"X-CSRF-Token": csrf}).get_json() == {"turned": True}
    assert client.get("/api/test/turn", headers={"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.application.test_client().get("/api/test/turn", headers=bearer("alice")).get_json() == {"turned": True}


def test_two_installations_have_cookies_of_their_own(tmp_path):
    names = set()
    for secret in ("one", "two"):
        folder = tmp_path / secret
        folder.mkdir()
        app = routes(bare_app(folder, secret=secret))
        cookies = app.test_client().post("/api/test/enter/alice").headers.getlist("Set-Cookie")
        names.update(cookie.partition("=")[0] for cookie in cookies)
    assert len(names) == 4 and all(name.startswith(("oneapi_session_", "oneapi_device_")) for name in names)


def test_an_access_token_works_from_anywhere(client):
    assert client.post("/api/test/", headers=bearer("alice", Origin="https://tools.example")).status_code == 200


def test_a_page_s_form_needs_the_token_of_the_session(client):
    csrf = client.post("/api/test/enter/alice").get_json()["csrf"]
    assert client.post("/test/").status_code == 403
    assert client.post("/test/", data={"csrf_token": "x"}).status_code == 403
    assert client.post("/test/", data={"csrf_token": csrf}).status_code == 200
    assert client.post("/test/", headers={"X-CSRF-Token": csrf}).status_code == 200
    assert client.post("/test/", headers={"X-CSRF-Token": csrf, "Origin": "https://evil.example"}).status_code == 403


def test_pages_send_visitors_to_sign_in_and_back(client):
    answer = client.get("/test/?p=2")
    assert (answer.status_code, answer.location) == (303, "/login?next=/test/%3Fp%3D2")
    part = client.get("/test/", headers={"HX-Request": "true", "HX-Current-URL": "http://localhost/test/?p=2"})
    assert (part.status_code, part.headers["HX-Redirect"]) == (401, "/login?next=/test/%3Fp%3D2")
    client.post("/api/test/enter/alice")
    assert client.get("/test/admin").status_code == 403


def test_a_factory_password_leads_to_one_place(app, client):
    change(app, "root", must_change_password=True)
    client.post("/api/test/enter/root")
    assert client.get("/api/test/").status_code == 403
    assert client.get("/api/test/", headers=CHINESE).get_json()["message"] == "请先修改初始密码"
    assert client.get("/test/").location == doors.PASSWORD_PAGE
    assert client.get("/api/test/password").get_json() == {"open": True}


def test_an_operator_s_access_token_works_before_the_password_is_changed(app, client):
    change(app, "root", must_change_password=True)
    assert client.get("/api/test/", headers=bearer("root")).get_json()["user"] == "root"


def test_every_answer_has_a_request_id(client):
    ids = {client.get(path).headers["X-Oneapi-Request-Id"] for path in ("/api/test/", "/test/", "/nowhere")}
    assert len(ids) == 3 and all(id.isdecimal() and len(id) > 22 for id in ids)


def test_visitors_share_a_limit_and_accounts_have_ten_times_it(tmp_path):
    client = routes(bare_app(tmp_path, GLOBAL_API_RATE_LIMIT="2")).test_client()
    assert [client.get("/api/test/").status_code for _ in range(3)] == [401, 401, 429]
    refused = client.get("/api/test/", headers=CHINESE)
    assert 1 <= int(refused.headers["Retry-After"]) <= 180
    assert refused.get_json()["message"].startswith("请求过于频繁")
    assert [client.get("/api/test/", headers=bearer("alice")).status_code for _ in range(21)] == [200] * 20 + [429]
    assert client.get("/api/test/", headers=bearer("bob")).status_code == 200
    assert client.get("/api/test/", headers={"X-Forwarded-For": "198.51.100.7"}).status_code == 401


def test_critical_routes_are_counted_once_more(tmp_path):
    client = routes(bare_app(tmp_path, CRITICAL_RATE_LIMIT="2")).test_client()
    assert [client.post("/api/test/enter/alice").status_code for _ in range(2)] == [200, 200]
    fresh = client.application.test_client()
    assert fresh.post("/api/test/enter/alice").status_code == 429
    assert fresh.get("/api/test/", headers=bearer("alice")).status_code == 200


def test_a_page_over_the_limit_says_when_to_return(tmp_path):
    client = routes(bare_app(tmp_path, GLOBAL_WEB_RATE_LIMIT="1")).test_client()
    assert client.get("/test/").status_code == 303
    again = client.get("/test/")
    assert again.status_code == 429 and int(again.headers["Retry-After"]) >= 1


TRUSTED = proxies.networks("10.0.0.0/8, ::1/128")


@pytest.mark.parametrize(
    "peer, forwarded, real, client",
    [
        ("198.51.100.1", "1.2.3.4", "", "198.51.100.1"),  # not one of ours: its word counts for nothing
        ("10.0.0.1", "1.2.3.4", "", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "", "1.2.3.4"),  # the client wrote the first itself
        ("10.0.0.1", "1.2.3.4, 10.0.0.2", "", "1.2.3.4"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "", "10.0.0.3"),
        ("10.0.0.1", "1.2.3.4, junk", "", "10.0.0.1"),
        ("10.0.0.1", "", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "1.2.3.4", "", "1.2.3.4"),
        ("", "1.2.3.4", "", "1.2.3.4"),  # a Unix socket
        ("10.0.0.1", "1.2.3.4:51234", "", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6:1, 1.2.3.4:51234, 10.0.0.2:80", "", "1.2.3.4"),
        ("10.0.0.1", "[2001:db8::7]:51234", "", "2001:db8::7"),
        ("10.0.0.1", "[2001:db8::7]", "", "2001:db8::7"),
        ("10.0.0.1", "2001:db8::7", "", "2001:db8::7"),
        ("10.0.0.1", '"[2001:db8::7]:51234"', "", "2001:db8::7"),
        ("10.0.0.1", '"1.2.3.4:51234"', "", "1.2.3.4"),
        ("10.0.0.1", "[fe80::7%eth0]:51234", "", "fe80::7"),
        ("10.0.0.1", "fe80::7%25eth0", "", "fe80::7"),
        ("10.0.0.1", "[::ffff:10.0.0.2]:80", "", "::ffff:10.0.0.2"),
        ("10.0.0.1", "", "1.2.3.4:51234", "1.2.3.4"),
        ("10.0.0.1", "1.2.3.4:port", "", "10.0.0.1"),
        ("10.0.0.1", "[1.2.3.4", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "", "10.0.0.1"),
    ],
)
def test_only_trusted_proxies_are_believed(peer, forwarded, real, client):
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded, "HTTP_X_REAL_IP": real}
    assert proxies.ip_of(environ, TRUSTED) == client


@pytest.mark.parametrize(
    "address, in_ascii",
    [
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("https://B\u00dcCHER.example:8443/gate", "https://xn--bcher-kva.example:8443/gate"),
        ("https://gw.example/\u00fc", "https://gw.example/\u00fc"), ("http://[::1]:3000", "http://[::1]:3000"), ("", ""),
    ],
)  # fmt: skip
def test_a_host_of_other_letters_has_an_ascii_form(address, in_ascii):
    assert proxies.in_ascii(address) == in_ascii
    assert proxies.origin_of(address) == proxies.origin_of(in_ascii)


def test_an_ipv6_client_is_counted_by_its_network():
    assert proxies.neighbourhood("2001:db8::1") == proxies.neighbourhood("2001:db8::ffff") == "2001:db8::/64"
    assert proxies.neighbourhood("192.0.2.1") == "192.0.2.1"


def test_the_environment_can_name_the_server_address(tmp_path):
    client = routes(bare_app(tmp_path, SERVER_ADDRESS="https://gw.example.com")).test_client()
    assert client.post("/api/test/enter/alice", headers={"Origin": "https://gw.example.com"}).status_code == 200
    assert client.get("/api/status").get_json()["data"]["server_address"] == "https://gw.example.com"
