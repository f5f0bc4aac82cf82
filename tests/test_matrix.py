"""Every route of the management API for every role, against golden/access.txt; a change of it is a change of who may do what."""

import os
from collections.abc import Iterator
from pathlib import Path

import bare
import pytest
from flask import Flask

from oneapi import access, jobs, messages
from oneapi.models.user import User

GOLDEN = Path(__file__).parent / "golden" / "access.txt"
ROLES = ("visitor", "bob", "admin", "root")
WIDTH = 46
REFUSALS = {messages.text(code): code for code in access.REFUSALS if "{" not in messages.TEXTS[code][0]}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    made = bare.app(tmp_path)
    yield made
    jobs.stop()
    made.extensions["oneapi"].databases.dispose()


def repair(app: Flask, ids: dict[str, int]) -> None:
    """Put the cast back as it was, whatever the last request did to them."""
    with app.extensions["oneapi"].databases.transaction() as session:
        for name, role in bare.ROLES.items():
            fresh = bare.cast_row(name, role)
            kept = {c.key: getattr(fresh, c.key) for c in User.__mapper__.column_attrs if getattr(fresh, c.key) is not None}
            row = session.get(User, ids[name])
            for column, value in kept.items():
                setattr(row, column, value)


def outcome(app: Flask, method: str, rule: str, role: str) -> str:
    """`in` for whoever comes in, whatever then becomes of an empty request; else why not."""
    headers = {} if role == "visitor" else bare.bearer(role)
    path = rule.replace("<id>", "404").replace("<name>", "nothing").replace("<slug>", "nothing").replace("<path:path>", "nowhere")
    answer = app.test_client().open(path, method=method, headers=headers, json={} if method != "GET" else None)
    said = answer.get_json(silent=True) or {}
    refusal = REFUSALS.get(said.get("message", "")) if said.get("success") is False else None
    return refusal or ("in" if answer.status_code < 500 else str(answer.status_code))


def matrix(app: Flask) -> str:
    with app.extensions["oneapi"].databases.transaction() as session:
        ids = {row.username: row.id for row in session.query(User)}
    lines = [f"{'method and path':{WIDTH}}" + "".join(f"{role:16}" for role in ("visitor", "user", "admin", "root")).rstrip()]
    for method, rule in sorted(access.guards(app), key=lambda route: (route[1], route[0])):
        cells = []
        for role in ROLES:
            repair(app, ids)
            cells.append(outcome(app, method, rule, role))
        lines.append(f"{method + ' ' + rule:{WIDTH}}" + "".join(f"{cell:16}" for cell in cells).rstrip())
    return "\n".join(lines) + "\n"


def test_who_may_do_what(app: Flask) -> None:
    found = matrix(app)
    if os.environ.get("ACCESS_UPDATE"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


def test_the_guards_say_the_same(app: Flask) -> None:
    """Each line of the golden file follows from the role its route names."""
    guards = access.guards(app)
    for line in GOLDEN.read_text().splitlines()[1:]:
        method, rule, *cells = line.split()
        allow = guards[method, rule].allow
        expected = ["in" if allow is None else "signed_out", *("in" if (allow or 0) <= role else "role" for role in (1, 10, 100))]
        assert cells == expected, line
