"""Every route for every role, against golden/access.txt; a change of it is a change of who may do what.

ACCESS_UPDATE=1 writes the file anew: read its difference.
"""

import html
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bare
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from oneapi import config, create_app, doors, jobs, messages
from oneapi.actions import SYSTEM, options
from oneapi.doors import Guard
from oneapi.models.user import User

GOLDEN = Path(__file__).parent / "golden" / "access.txt"
ROLES = {"visitor": "", "user": "bob", "admin": "admin", "root": "root"}  # who plays it
WIDTH = 46
REFUSALS = {messages.text(code): code for code in doors.REFUSALS if "{" not in messages.TEXTS[code][0]}
FILLED = {"<id>": "404", "<int:id>": "404", "<path:path>": "nowhere"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    limits = dict.fromkeys(("GLOBAL_API_RATE_LIMIT", "GLOBAL_WEB_RATE_LIMIT", "CRITICAL_RATE_LIMIT"), "0")
    made = create_app(config.load(limits | {"INSTANCE_PATH": str(tmp_path), "LOG_DIR": "", "SESSION_SECRET": "a test's own"}))
    with made.extensions["oneapi"].databases.transaction() as session:
        session.query(User).delete()
        for name, role in bare.ROLES.items():
            session.add(bare.cast_row(name, role))
    yield made
    jobs.stop()
    made.extensions["oneapi.relay"].ledger.stop()
    made.extensions["oneapi"].databases.dispose()


def ids_of(app: Flask) -> dict[str, int]:
    with app.extensions["oneapi"].databases.transaction() as session:
        return {row.username: row.id for row in session.query(User)}


def repair(app: Flask, ids: dict[str, int]) -> None:
    """Put the cast back as it was, whatever the last request did to them."""
    with app.extensions["oneapi"].databases.transaction() as session:
        for name, role in bare.ROLES.items():
            fresh = bare.cast_row(name, role)
            kept = {c.key: getattr(fresh, c.key) for c in User.__mapper__.column_attrs if getattr(fresh, c.key) is not None}
            row = session.get(User, ids[name])
            for column, value in (kept | {"session_epoch": 0}).items():
                setattr(row, column, value)


def ask(app: Flask, method: str, rule: str, guard: Guard, who: str, id: int) -> TestResponse:
    """An empty request: to the API with an access token, to a page with a session but without the token of its forms."""
    client, path = app.test_client(), rule
    for part, value in FILLED.items():
        path = path.replace(part, value)
    path = "/".join("nothing" if part.startswith("<") else part for part in path.split("/"))
    if guard.dialect == "api":
        return client.open(path, method=method, headers=bare.bearer(who) if who else {}, json={} if method != "GET" else None)
    if who:
        with client.session_transaction() as session:
            session["_user_id"] = f"{id}:0"
    return client.open(path, method=method)


def outcome(answer: TestResponse, guard: Guard) -> str:
    """`in` for whoever comes in, whatever then becomes of an empty request; else why not."""
    if answer.status_code >= 500:
        return str(answer.status_code)
    if guard.dialect == "api":
        said = answer.get_json(silent=True)
        refused = isinstance(said, dict) and said.get("success") is False
        return (REFUSALS.get(said["message"]) if refused else None) or "in"
    if answer.status_code == 303 and answer.location.startswith(doors.LOGIN_PAGE + "?next="):
        return "signed_out"
    shown = html.unescape(answer.get_data(as_text=True)) if answer.status_code == 403 else ""
    code = next((code for text, code in REFUSALS.items() if text in shown), "in")
    return "in" if code == "csrf" else code  # whoever is asked for the form's token was let in


def matrix(app: Flask) -> str:
    ids = ids_of(app)
    lines = [f"{'method and path':{WIDTH}}" + "".join(f"{role:16}" for role in ROLES).rstrip()]
    for (method, rule), guard in sorted(doors.guards(app).items(), key=lambda item: (item[0][1], item[0][0])):
        cells = []
        for who in ROLES.values():
            repair(app, ids)
            with ask(app, method, rule, guard, who, ids.get(who, 0)) as answer:
                cells.append(outcome(answer, guard))
        lines.append(f"{method + ' ' + rule:{WIDTH}} " + "".join(f"{cell:16}" for cell in cells).rstrip())
    return "\n".join(lines) + "\n"


# GETs that write without being declared `changes`: what they write belongs to the browser that asks and does nothing alone.
WRITE_THEIR_OWN = {
    "/oauth/<name>/start": "a state of a sign-in, which the session of this browser must bring back",
    "/api/oauth/state": "the same",
}


def opened(app: Flask, who: str, ids: dict[str, int]) -> FlaskClient:
    """A browser with a session."""
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = f"{ids[who]}:0"
        session["csrf"] = "the token of the session"
    return client


def path_of(rule: str, ids: dict[str, int]) -> str:
    """An address of a route, about a user who exists where it takes an id."""
    filled = rule.replace("<id>", str(ids["bob"])).replace("<int:id>", str(ids["bob"])).replace("<name>", "github")
    return "/".join("nothing" if part.startswith("<") else part for part in filled.split("/"))


def test_a_get_writes_nothing_unless_its_route_says_so(app: Flask) -> None:
    """A link on another site can make a signed-in browser send any GET, so every route is tried with a session of root."""
    ids, written = ids_of(app), []
    engine = app.extensions["oneapi"].databases.engine
    options.save(app.extensions["oneapi"], SYSTEM, {"GitHubClientId": "x", "GitHubOAuthEnabled": "true"})

    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")):
            written.append(statement)

    wrong = {}
    for (method, rule), guard in doors.guards(app).items():
        if method != "GET" or guard.changes or guard.from_elsewhere:
            continue
        client = opened(app, "root", ids)
        event.listen(engine, "before_cursor_execute", note)
        try:
            client.get(path_of(rule, ids)).close()
        finally:
            event.remove(engine, "before_cursor_execute", note)
        if written:
            wrong[rule] = written[:]
            written.clear()
    assert {rule: said for rule, said in wrong.items() if rule not in WRITE_THEIR_OWN} == {}


def test_a_get_that_changes_something_refuses_a_session_without_its_token(app: Flask) -> None:
    ids = ids_of(app)
    changing = {rule: guard for (method, rule), guard in doors.guards(app).items() if method == "GET" and guard.changes}
    assert len(changing) >= 13
    for rule, guard in changing.items():
        assert ("POST", rule) in doors.guards(app), f"{rule} has no POST"
        refused = opened(app, "root", ids).get(path_of(rule, ids))
        assert (refused.status_code, outcome(refused, guard)) == (403, "get_changes"), rule
        passed = opened(app, "root", ids).get(path_of(rule, ids), headers={"X-CSRF-Token": "the token of the session"})
        assert outcome(passed, guard) == "in", rule
        if guard.begins_session:
            assert app.test_client().get(path_of(rule, ids)).status_code == 403, "a visitor would be signed in by a link"


def test_who_may_do_what(app: Flask) -> None:
    found = matrix(app)
    if os.environ.get("ACCESS_UPDATE"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


def test_the_guards_say_the_same(app: Flask) -> None:
    """Each line of the golden file follows from the role its route names."""
    guards = doors.guards(app)
    for line in GOLDEN.read_text().splitlines()[1:]:
        method, rule, *cells = line.split()
        guard, allow = guards[method, rule], guards[method, rule].allow
        visitor = "get_changes" if method == "GET" and guard.begins_session else "in" if allow is None else "signed_out"
        expected = [visitor, *("in" if (allow or 0) <= role else "role" for role in (1, 10, 100))]
        assert cells == expected, line
