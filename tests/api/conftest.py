"""What the tests of the management API share: a client that speaks for one of the cast."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

ZH = {"Accept-Language": "zh-CN,zh;q=0.9"}


@pytest.fixture
def settings_of_environment(tmp_path: Any) -> dict[str, str]:
    limits = dict.fromkeys(("GLOBAL_API_RATE_LIMIT", "GLOBAL_WEB_RATE_LIMIT", "CRITICAL_RATE_LIMIT"), "0")
    return limits | {"INSTANCE_PATH": str(tmp_path / "instance"), "LOG_DIR": "", "SESSION_SECRET": "a test's own secret"}


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


@pytest.fixture
def as_(app: Flask) -> Callable[..., Api]:
    """as_(alice)("GET", "/api/token/"); as_() is a visitor."""
    return lambda person=None: Api(app, person.token if person else "")


@pytest.fixture
def put(state: Any) -> Callable[..., None]:
    """Set settings: put(RegisterEnabled="false")."""
    from oneapi.actions import SYSTEM, options

    return lambda **values: options.save(state, SYSTEM, values)
