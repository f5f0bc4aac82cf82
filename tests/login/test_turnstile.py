"""Cloudflare Turnstile in front of mails and registrations: asked once a session, and never taken on trust."""

import pytest

CHINESE = {"Accept-Language": "zh-CN"}


@pytest.fixture
def turnstile(server, setting):
    """Cloudflare's side: knows one token."""
    server.routes["POST", "/siteverify"] = lambda asked: {
        "success": asked["values"].get("response") == "human" and asked["values"].get("secret") == "0x-secret"
    }
    setting(
        TurnstileSecretKey="0x-secret", TurnstileSiteKey="0x-site", TurnstileVerifyUrl=f"{server.url}/siteverify",
        TurnstileCheckEnabled=True,
    )  # fmt: skip
    return server


def ask(client, token: str = "") -> str:
    answer = client.get(f"/api/reset_password?email=nobody@example.com&turnstile={token}", headers=CHINESE).get_json()
    return answer["message"]


def test_people_prove_themselves_once(client, turnstile):
    assert ask(client) == "Turnstile token 为空"
    assert ask(client, "robot") == "Turnstile 校验失败，请刷新重试！"
    assert "Turnstile" not in ask(client, "human")
    assert "Turnstile" not in ask(client), "the session remembers"
    assert turnstile.asked[-1]["values"] == {"secret": "0x-secret", "response": "human", "remoteip": "127.0.0.1"}


@pytest.mark.parametrize("answer", [{"success": "yes"}, {}, [], None])
def test_an_answer_that_is_no_yes_is_a_no(client, turnstile, answer):
    turnstile.routes["POST", "/siteverify"] = lambda asked: answer
    assert ask(client, "human") == "Turnstile 校验失败，请刷新重试！"


def test_nobody_passes_while_cloudflare_is_away(client, turnstile):
    turnstile.server.stop()
    assert ask(client, "human") == "Turnstile 校验失败，请刷新重试！"
