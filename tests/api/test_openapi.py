"""The OpenAPI document against what the API really answers."""

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from oneapi import access
from oneapi.api import openapi


@pytest.fixture
def document(as_):
    return as_()("GET", "/api/openapi.json")


def test_the_document_is_valid(document):
    validate(document)


def test_every_route_of_the_api_is_in_it(app, document):
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    for (method, rule), _ in access.guards(app).items():
        path = rule.replace("<", "{").replace(">", "}")
        assert (method, path) in described or "{path:path}" in path or path == "/api/"
    assert len(described) > 60


@pytest.fixture
def filled(as_, root, admin, alice, channel, state):
    """One row of everything, so that lists are not empty."""
    id = channel()
    as_(root).data("POST", "/api/redemption/", {"name": "one", "quota": 5, "count": 1})
    as_(root).data("POST", "/api/topup", {"user_id": alice.id, "quota": 5})
    as_(root).data("POST", "/api/topup", {"user_id": root.id, "quota": 5})
    return {"id": str(id)}


# Those that go out to vendors and providers, or end the session they are asked with.
ELSEWHERE = ("test", "update_balance", "fetch_models", "oauth", "verification", "reset_password", "/user/token", "logout")


def test_what_is_answered_is_what_it_says(as_, root, document, filled):
    checked = 0
    for path, item in document["paths"].items():
        if "get" not in item or any(word in path for word in ELSEWHERE):
            continue
        id = str(root.id - 0) if path == "/api/user/{id}" else filled["id"]
        said = as_(root)("GET", path.replace("{id}", id))
        assert said.get("success", True) is True, (path, said)
        schema = item["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        whole = schema | {"components": document["components"]}
        Draft202012Validator(whole).validate(said)
        checked += 1
    assert checked >= 25


def test_a_schema_would_notice(document):
    schema = openapi._answer("[Token]") | {"components": document["components"]}
    wrong = {"success": True, "message": "", "data": [{"id": "one"}]}
    assert not Draft202012Validator(schema).is_valid(wrong)
