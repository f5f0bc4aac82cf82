"""The OpenAPI document, made from the route table, so that it cannot say what is not so."""

import re
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, current_app

from oneapi import config, settings
from oneapi.api import envelope, public, shapes
from oneapi.doors import Guard, guards
from oneapi.models.channel import Channel
from oneapi.models.log import Log
from oneapi.models.redemption import Redemption
from oneapi.models.token import Token
from oneapi.models.user import Role, User

routes = envelope.resource("openapi", "")

Json = dict[str, Any]

TYPES = {int: "integer", float: "number", str: "string", bool: "boolean", list: "array"}
SCALARS = ("string", "integer", "number", "boolean", "object")
WHO = {None: "Open to everybody.", Role.USER: "For users.", Role.ADMIN: "For administrators.", Role.ROOT: "For root."}
# What may be null where an empty row shows it so; what is not named here is a text.
NULLABLE = {"weight": "integer", "priority": "integer", "detail": "object", "ended_at": "integer", "alive_at": "integer"}
SUMS = {"requests": 0, "quota": 0, "prompt_tokens": 0, "completion_tokens": 0}
RUN = {"id": 0, "name": "", "worker": "", "state": "", "started_at": 0, "ended_at": None, "alive_at": None, "error": None}
# What has no row of its own, by example.
OTHERS: Json = {
    "Option": {"key": "", "value": ""}, "Stat": {"quota": 0}, "Status": public.status(settings.read({}), 0),
    "Day": {"Day": "", "ModelName": "", "RequestCount": 0, "Quota": 0, "PromptTokens": 0, "CompletionTokens": 0},
    "Usage": {"total": SUMS, "days": [{"day": "", "model": ""} | SUMS]},
    "Jobs": {"jobs": [{"name": "", "title": "", "period": 0, "next_run": 0}], "runs": [RUN | {"progress": {}}]},
    "Audit": {
        "id": 0, "created_at": 0, "actor_id": 0, "actor_name": "", "action": "", "noun": "", "noun_id": "", "ip": "",
        "difference": {},
    },
}  # fmt: skip
REFUSED = {
    "type": "object", "required": ["success", "message"], "additionalProperties": False,
    "properties": {
        "success": {"const": False}, "message": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}  # fmt: skip
REFUSAL = {"description": "401, 403, 429 or 500: why not.", "content": {"application/json": {"schema": REFUSED}}}
MODELS = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}


def document(app: Flask) -> Json:
    paths: dict[str, Json] = {}
    for (method, rule), guard in sorted(guards(app).items(), key=lambda item: item[0]):
        view = _view(app, method, rule)
        if rule.startswith("/api/") and hasattr(view, "says"):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)
            paths.setdefault(path, {})[method.lower()] = _operation(method, path, view, guard)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "One API management", "version": config.VERSION,
            "description": "Answers are HTTP 200 with an envelope also where something was refused: look at `success`.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": {"access_token": {"type": "http", "scheme": "bearer"}}},
    }  # fmt: skip


def _view(app: Flask, method: str, rule: str) -> Any:
    return next(
        app.view_functions[found.endpoint]
        for found in app.url_map.iter_rules()
        if found.rule == rule and method in (found.methods or ()) and hasattr(app.view_functions[found.endpoint], "guard")
    )


def _operation(method: str, path: str, view: Any, guard: Guard) -> Json:
    inside = [_parameter("path", name, required=True) for name in re.findall(r"{(\w+)}", path)]
    asked = [_parameter("query", name) for name in view.query] + [_parameter("header", name) for name in view.headers]
    answered = {"application/json": {"schema": _answer(view.says, view.more)}}
    made: Json = {
        "operationId": f"{method.lower()}{re.sub(r'[^a-z0-9]+', '_', path.removeprefix('/api'))}".strip("_"),
        "summary": (view.__doc__ or "").strip(), "description": WHO[guard.allow], "tags": [path.split("/")[2]],
        "parameters": inside + asked,
        "responses": {"200": {"description": "The envelope.", "content": answered}, "default": REFUSAL},
        "security": [] if guard.allow is None else [{"access_token": []}],
    }  # fmt: skip
    if view.takes:
        properties = {name: {"type": [TYPES[kind], "null"]} for name, kind in view.takes.items()}
        body = {"schema": {"type": "object", "properties": properties}}
        made["requestBody"] = {"required": True, "content": {"application/json": body}}
    return made


def _parameter(place: str, name: str, *, required: bool = False) -> Json:
    return {"name": name, "in": place, "required": required, "schema": {"type": "string"}}


def _answer(data: str | None, more: Mapping[str, type] | None = None) -> Json:
    """The envelope with its data, and whatever else stands beside it; `errors` names the fields that a refusal is about."""
    if data is None:
        return {"type": "object"}
    kept: Json = {"success": {"type": "boolean"}, "message": {"type": "string"}}
    kept["errors"] = {"type": "object", "additionalProperties": {"type": "string"}}
    kept |= {name: {"type": TYPES[kind]} for name, kind in (more or {}).items()}
    kept |= {"data": _data(data)} if data else {}
    success = {"properties": {"success": {"const": True}, "errors": False}}
    refusal = {"properties": {"success": {"const": False}, "data": False}}
    return {
        "type": "object", "required": ["success", "message"], "properties": kept, "additionalProperties": False,
        "anyOf": [success, refusal],
    }  # fmt: skip


def _data(name: str) -> Json:
    if name.startswith("["):
        return {"type": "array", "items": _data(name.strip("[]"))}
    return {"type": name} if name in SCALARS else {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> Json:
    """One per noun, from what an empty row looks like."""
    rows = {
        "User": shapes.person(User()), "Channel": shapes.channel(Channel()), "Token": shapes.token(Token()),
        "Redemption": shapes.redemption(Redemption()), "Log": shapes.log(Log()),
    }  # fmt: skip
    return {name: _schema(name, example) for name, example in (rows | OTHERS).items()} | {"Models": MODELS}


def _schema(name: str, example: Any) -> Json:
    """What looks like the example; an empty object may hold anything."""
    if example is None:
        return {"type": [NULLABLE.get(name, "string"), "null"]}
    if isinstance(example, list):
        return {"type": "array", "items": _schema(name, example[0])}
    if not isinstance(example, dict):
        return {"type": TYPES[type(example)]}
    if not example:
        return {"type": "object"}
    properties = {key: _schema(key, value) for key, value in example.items()}
    return {"type": "object", "required": list(example), "properties": properties, "additionalProperties": False}


@routes.route("/openapi.json", allow=None)
@envelope.says(None)
def get_document() -> Response:
    """This document."""
    return envelope.answer(document(current_app))
