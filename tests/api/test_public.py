"""What anybody may read, and what is nowhere."""

import pytest

from oneapi import config

STATUS = {
    "version", "start_time", "email_verification", "github_oauth", "github_client_id", "lark_client_id", "system_name", "logo",
    "footer_html", "wechat_qrcode", "wechat_login", "server_address", "turnstile_check", "turnstile_site_key", "top_up_link",
    "chat_link", "quota_per_unit", "display_in_currency", "oidc", "oidc_client_id", "oidc_well_known",
    "oidc_authorization_endpoint", "oidc_token_endpoint", "oidc_userinfo_endpoint",
}  # fmt: skip


def test_status(as_, state, put):
    put(SystemName="My Gateway", GitHubClientId="id", GitHubClientSecret="hidden")
    said = as_().data("GET", "/api/status")
    assert set(said) >= STATUS
    assert (said["version"], said["start_time"], said["quota_per_unit"]) == (config.VERSION, state.started_at, 500000)
    assert said["system_name"] == "My Gateway" and "hidden" not in str(said)


def test_the_health_check_of_the_old_project_finds_its_words(as_):
    assert '"success":true' in as_().raw("GET", "/api/status").get_data(as_text=True)


@pytest.mark.parametrize(
    "path, key", [("/api/notice", "Notice"), ("/api/about/", "About"), ("/api/home_page_content", "HomePageContent")]
)
def test_texts_of_the_site(as_, put, path, key):
    assert as_().data("GET", path) == ""
    put(**{key: "# 你好"})
    assert as_().data("GET", path) == "# 你好"


def test_models_by_channel_type(as_, alice):
    models = as_(alice).data("GET", "/api/models")
    assert "gpt-4o" in models["1"] and set(map(int, models)) >= set(range(1, 52))


def test_groups(as_, admin, put):
    put(GroupRatio='{"default": 1, "gold": 0.5}')
    assert as_(admin).data("GET", "/api/group/") == ["default", "gold"]


@pytest.mark.parametrize(
    "method, path", [("GET", "/api/nowhere"), ("POST", "/api/status"), ("PATCH", "/api/user/"), ("GET", "/api")]
)
def test_what_is_nowhere_is_answered_in_openai_s_words(as_, method, path):
    answer = as_().raw(method, path)
    assert answer.status_code == 404
    error = {"message": f"Invalid URL ({method} {path})", "type": "invalid_request_error", "param": "", "code": ""}
    assert answer.get_json() == {"error": error}


def test_long_answers_are_compressed_for_those_who_ask(as_, alice):
    answer = as_(alice).raw("GET", "/api/models", Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip" and answer.get_data()[:2] == b"\x1f\x8b"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert "Content-Encoding" not in as_(alice).raw("GET", "/api/models").headers
    assert "Content-Encoding" not in as_().raw("GET", "/api/notice", Accept_Encoding="gzip").headers


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'"text"', b"null"])
def test_bodies_that_are_no_object(app, alice, body):
    headers = {"Authorization": alice.token, "Accept-Language": "zh"}
    answer = app.test_client().post("/api/token/", data=body, headers=headers)
    assert (answer.status_code, answer.get_json()["message"]) == (200, "无效的参数")


def test_texts_that_no_database_takes_are_mended(as_, alice):
    assert as_(alice).data("POST", "/api/token/", {"name": "a\x00b\ud800c"})["name"] == "a\ufffdb\ufffdc"


def test_a_body_too_large_is_refused_in_the_envelope(app, alice):
    app.config["MAX_CONTENT_LENGTH"] = 1000
    for language, said in (("zh", "请求体过大"), ("en", "The body of the request is too large.")):
        headers = {"Authorization": alice.token, "Accept-Language": language}
        answer = app.test_client().post("/api/token/", data=b" " * 2000, headers=headers)
        assert (answer.status_code, answer.get_json()) == (413, {"success": False, "message": said})


def test_what_goes_wrong_with_us_names_the_request(app, alice, state, caplog):
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with state.databases.transaction() as session:
        session.connection().exec_driver_sql("DROP TABLE redemptions")
    answer = app.test_client().post("/api/user/topup", json={"key": "x"}, headers={"Authorization": alice.token})
    assert answer.status_code == 500
    assert answer.headers["X-Oneapi-Request-Id"] in answer.get_json()["message"]
    assert "redemptions" not in answer.get_json()["message"] and "redemptions" in caplog.text
