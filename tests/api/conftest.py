"""What the tests of the management API share: a client that speaks for one of the cast."""

from collections.abc import Callable, Iterator
from typing import Any

import bare
import pytest
from flask import Flask

ZH = {"Accept-Language": "zh-CN,zh;q=0.9"}


@pytest.fixture
def environ() -> dict[str, str]:
    """More environment for the app under test; override to change it."""
    return {}


@pytest.fixture
def app(tmp_path: Any, clock: Callable[[], float], environ: dict[str, str]) -> Iterator[Flask]:
    """The management API alone, on an empty database."""
    made = bare.app(tmp_path, clock, cast=False, **environ)
    yield made
    made.extensions["oneapi"].databases.dispose()


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
