"""What the people who run a gateway ask it."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def test_a_process_says_that_it_lives(client: FlaskClient) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


def test_a_process_with_its_database_is_ready(client: FlaskClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json == {"ready": True, "draining": False, "database": True, "journal": False}


def test_a_draining_process_gets_no_more_requests(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from oneapi import lifecycle

    monkeypatch.setattr(lifecycle, "_draining", True)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["draining"] is True


def test_metrics_are_off_unless_allowed(client: FlaskClient) -> None:
    assert client.get("/metrics").status_code == 404


class TestWithMetrics:
    @pytest.fixture
    def settings_of_environment(self, settings_of_environment: dict[str, str]) -> dict[str, str]:
        return settings_of_environment | {"METRICS_NETWORKS": "10.0.0.0/8"}

    def test_only_named_networks_may_read_metrics(self, client: FlaskClient) -> None:
        assert client.get("/metrics", environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 403

    def test_metrics_count_answers_by_kind_and_status(self, client: FlaskClient, alice: Any, channel: Callable[..., int]) -> None:
        channel()
        client.post("/v1/chat/completions", json=CHAT, headers=alice.headers)
        client.post("/v1/chat/completions", json=CHAT | {"model": "nobody-serves-this"}, headers=alice.headers)
        text = client.get("/metrics", environ_base={"REMOTE_ADDR": "10.1.2.3"}).get_data(as_text=True)
        found = re.findall(r'oneapi_answers_total{kind="(\w+)",status="(\d+)",worker="\d+"} ([\d.]+)', text)
        assert sorted(found) == [("chat", "200", "1.0"), ("chat", "503", "1.0")]
        assert "oneapi_channels_enabled" in text


def test_the_relay_is_mounted_ahead_of_flask(app: Flask) -> None:
    assert type(app.wsgi_app).__name__ == "Operations"
