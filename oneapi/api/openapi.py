"""The OpenAPI document, made from the route table, so that it cannot say what is not so."""

import re
from typing import Any

from flask import Flask, Response, current_app

from oneapi import config
from oneapi.access import Guard, guards
from oneapi.api import envelope, shapes
from oneapi.models.channel import Channel
from oneapi.models.log import Log
from oneapi.models.redemption import Redemption
from oneapi.models.token import Token
from oneapi.models.user import Role, User

routes = envelope.resource("openapi", "")

Json = dict[str, Any]

TYPES = {int: "integer", float: "number", str: "string", bool: "boolean"}
SCALARS = ("string", "integer", "boolean", "object")
WHO = {None: "Open to everybody.", Role.USER: "For users.", Role.ADMIN: "For administrators.", Role.ROOT: "For root."}


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
    inside = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in re.findall(r"{(\w+)}", path)
    ]
    asked = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in view.query]
    made: Json = {
        "operationId": f"{method.lower()}{re.sub(r'[^a-z0-9]+', '_', path.removeprefix('/api'))}".strip("_"),
        "summary": (view.__doc__ or "").strip(), "description": WHO[guard.allow], "tags": [path.split("/")[2]],
        "parameters": inside + asked,
        "responses": {"200": {"description": "The envelope.", "content": {"application/json": {"schema": _answer(view.says)}}}},
        "security": [] if guard.allow is None else [{"access_token": []}],
    }  # fmt: skip
    if view.takes:
        properties = {name: {"type": [TYPES[kind], "null"]} for name, kind in view.takes.items()}
        body = {"schema": {"type": "object", "properties": properties}}
        made["requestBody"] = {"required": True, "content": {"application/json": body}}
    return made


def _answer(data: str | None) -> Json:
    if data is None:
        return {"type": "object"}
    kept: Json = {"success": {"type": "boolean"}, "message": {"type": "string"}}
    if not data:
        return {"type": "object", "required": ["success", "message"], "properties": kept}
    success = {"properties": {"success": {"const": True}, "data": _data(data)}}
    refusal = {"properties": {"success": {"const": False}}}
    return {"type": "object", "required": ["success", "message"], "properties": kept, "anyOf": [success, refusal]}


def _data(name: str) -> Json:
    if name.startswith("["):
        return {"type": "array", "items": _data(name.strip("[]"))}
    return {"type": name} if name in SCALARS else {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> Json:
    """One per noun, from what an empty row looks like."""
    rows = {
        "User": shapes.person(User()), "Channel": shapes.channel(Channel()), "Token": shapes.token(Token()),
        "Redemption": shapes.redemption(Redemption()), "Log": shapes.log(Log()), "Option": {"key": "", "value": ""},
    }  # fmt: skip
    return {name: _schema(row) for name, row in rows.items()}


def _schema(row: Json) -> Json:
    properties = {name: {} if value is None else {"type": TYPES[type(value)]} for name, value in row.items()}
    return {"type": "object", "required": list(row), "properties": properties, "additionalProperties": False}


@routes.route("/openapi.json", allow=None)
@envelope.says(None)
def get_document() -> Response:
    """This document."""
    return envelope.answer(document(current_app))
