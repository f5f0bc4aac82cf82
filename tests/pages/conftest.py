"""A person at a browser: signs in through the form, carries the session's token in every form."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Browser:
    """`get` and `post` are plain pages and forms; `ask` and `send` are the same as htmx does them."""

    def __init__(self, app: Flask, person: Any = None):
        self.client = app.test_client()
        self.token = TOKEN.search(self.client.get("/login").text)[1]  # type: ignore[index]
        if person is not None:
            answer = self.post("/login", username=person.username, password=person.password)
            assert answer.status_code == 303, answer.text
            self.token = TOKEN.search(self.client.get(answer.location).text)[1]  # type: ignore[index]

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, **more)

    def ask(self, path: str, target: str) -> TestResponse:
        return self.client.get(path, headers={"HX-Request": "true", "HX-Target": target})

    def post(self, path: str, **form: Any) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.token, **form})

    def send(self, path: str, into: str = "", **form: Any) -> TestResponse:
        headers = {"HX-Request": "true", "HX-Target": into, "X-CSRF-Token": self.token}
        return self.client.post(path, data=form, headers=headers)


@pytest.fixture
def browse(app: Flask) -> Callable[..., Browser]:
    """browse(alice) is alice at her browser, browse() a visitor."""
    return lambda person=None: Browser(app, person)
