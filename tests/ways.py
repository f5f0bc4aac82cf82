"""A browser on its way through a sign-in provider and back."""

from typing import Any
from urllib.parse import urlsplit

import requests
from flask.testing import FlaskClient

SECRET = "the application's secret"


def way_back(client: FlaskClient, name: str, **query: str) -> str:
    """Leave for a provider in the browser and say yes there; the address it sends the browser back to."""
    left = client.get(f"/leave/{name}", query_string=query)
    assert left.status_code == 302, left.get_json()
    said = requests.get(left.location, allow_redirects=False, timeout=20)
    assert said.status_code == 302, said.text
    where = urlsplit(said.headers["Location"])
    return f"{where.path}?{where.query}"


def travel(client: FlaskClient, name: str, **query: str) -> Any:
    """The whole way, there and back."""
    return client.get(way_back(client, name, **query)).get_json()


def signed_in(client: FlaskClient) -> str:
    """Who the browser's session is."""
    answer = client.get("/api/user/self").get_json()
    return answer["data"]["username"] if answer["success"] else ""


def enter(client: FlaskClient, username: str, password: str) -> None:
    assert client.post("/api/user/login", json={"username": username, "password": password}).get_json()["success"]


def session_cookie(client: FlaskClient) -> str:
    """The name of the session cookie, which differs between installations."""
    return client.application.config["SESSION_COOKIE_NAME"]
