"""The OpenAPI document by itself; test_contract.py holds every real answer against it."""

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from oneapi import doors
from oneapi.api import openapi


@pytest.fixture
def document(as_):
    return as_()("GET", "/api/openapi.json")


def test_the_document_is_valid(document):
    validate(document)


def test_every_route_of_the_api_is_in_it(app, document):
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    for (method, rule), _ in doors.guards(app).items():
        path = rule.replace("<", "{").replace(">", "}")
        assert (method, path) in described or "{path:path}" in path or path == "/api/"
    assert len(described) > 60


def test_a_schema_would_notice(document):
    schema = openapi._answer("[Token]") | {"components": document["components"]}
    wrong = {"success": True, "message": "", "data": [{"id": "one"}]}
    assert not Draft202012Validator(schema).is_valid(wrong)


def test_refusals_are_described_too(as_, document):
    refusal = document["paths"]["/api/user/self"]["get"]["responses"]["default"]["content"]["application/json"]["schema"]
    whole = refusal | {"components": document["components"]}
    answer = as_().raw("GET", "/api/user/self")
    assert answer.status_code == 401
    Draft202012Validator(whole).validate(answer.get_json())
    Draft202012Validator(whole).validate(as_()("POST", "/api/user/register", {"username": "x" * 13, "password": "x"}))
    assert not Draft202012Validator(whole).is_valid({"success": True, "message": ""})
