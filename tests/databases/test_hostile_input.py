"""Hostile values in every field of every page and API route, on every database: an answer with a sentence, never a 5xx.

The walk takes the routes from the route table and the names of fields from what the routes read, so that a new one is tried by
itself. A field gets each value of a rotation while the other fields have values that pass.
"""

import html
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import servers
from fake_vendor import FakeVendor
from flask import Flask
from werkzeug.test import TestResponse

from oneapi import access, doors, inputs
from oneapi.actions import SYSTEM, Actor, channels, people, tokens, topups
from oneapi.models import option, version
from oneapi.models.channel import Channel
from oneapi.models.log import Kind, Log
from oneapi.models.redemption import Redemption
from oneapi.models.token import Token
from oneapi.models.user import Role, Status, User
from oneapi.settings import BY_KEY

JSON = "application/json"
LONG = "x" * 100_000
TEXTS = (
    "\0", "a\0b", str(2**63), "99999999999999999999", "-1", "1e400", "NaN", "٣", LONG, "[]", "{}", "[" * 4000, "😀", "\u200fa",
    "http://[", "2030-02-30T00:00", "0001-01-01T00:00",
    "9999-12-31T23:59", "1796176946762", "9" * 5000, "-9223372036854775809", "--5", '{"m": 1e308}', "，、；\n",
)  # fmt: skip
RAW = (  # as JSON
    r'"a\u0000b"', r'"\ud800"', str(2**63), str(2**64), "-1", "1e400", "NaN", '"٣"', f'"{LONG}"', "[]", "{}",
    "[" * 4000 + "]" * 4000, '"😀"', '"2030-02-30"', str(2**62), "1796176946762", "9" * 5000, "true", '["a", "b"]', "1.5",
)  # fmt: skip
EACH = 5  # values of the rotation that one field gets
IDS = ("0", "9223372036854775808", "99999999999999999999", "9" * 5000, "-1", "a%00b", "%D9%A3", "%ED%A0%80", "x" * 5000)
# What passes, so that the hostile value beside it is reached. Routes without such a value get "1".
PASSES = {
    "username": "newcomer", "password": "correct horse", "confirm": "correct horse", "display_name": "N", "email": "",
    "group": "default", "name": "n", "models": "gpt-4o-mini", "key": "", "base_url": "", "config": "{}", "model_mapping": "{}",
    "parameters": "{}", "count": "1", "quota": "5", "expired_time": "", "subnet": "", "all": "", "budget": "amount",
    "remain_quota": "5", "action": "x", "how": "add", "range": "custom",
    "from": "2026-01-01T00:00", "to": "2026-02-01T00:00", "format": "", "sort": "", "q": "a", "edit": "",
    "current_password": "wrong", "OidcWellKnown": "", "csrf_token": "", "ratio": "1", "lang": "", "type": "1", "then": "",
}  # fmt: skip
LEFT_OUT = {  # a stream without end; and routes that end the sign-in of the caller and read nothing
    "/job/<name>/events", "/user/access-token", "/api/user/token", "/user/sessions", "/api/user/self/sessions",
}  # fmt: skip
STORED = ("a\0b", "99999999999999999999", LONG, "😀", "1796176946762", "9223372036854775807", "-1")  # what databases differ in
LAST = ("/setting", "/api/option", "/price", "/group", "/preferences")  # these change what other routes do


class Reads(inputs.Values):
    """Notes which names a route reads."""

    names: set[str] = set()

    def get(self, key: str, default: Any = None, type: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default, type)

    def getlist(self, key: str, type: Any = None) -> list[Any]:
        self.names.add(key)
        return super().getlist(key, type)

    def __contains__(self, key: object) -> bool:
        self.names.add(str(key))
        return super().__contains__(key)


class Noting(inputs.CleanRequest):
    parameter_storage_class = Reads


ROLES = {"rooty": Role.ROOT, "admin": Role.ADMIN, "alice": Role.USER, "bob": Role.USER}


class Site:
    """An application with one row of each kind, and people of each role who speak with their access tokens."""

    def __init__(self, app: Flask, vendor: FakeVendor):
        self.app, self.state, self.count = app, app.extensions["oneapi"], itertools.count()
        self.wrong: list[str] = []
        app.config["PROPAGATE_EXCEPTIONS"] = False
        app.testing = False
        app.request_class = Noting
        self.client = app.test_client()
        self.bare = app.test_client(use_cookies=False)  # for access tokens: a session that a form began would win over them
        state, token = self.state, {}
        root = Actor(1, "root", Role.ROOT)
        for name, role in ROLES.items():
            row = people.create(state, SYSTEM, {"username": name, "password": "correct horse"})
            with state.databases.transaction() as session:
                found = session.get(User, row.id)
                found.role, found.access_token_hash = role, access.digest((name * 32)[:32])
            token[name] = {"Authorization": f"Bearer {(name * 32)[:32]}"}
            self.id = row.id
        self.roles = {Role.ROOT: token["rooty"], Role.ADMIN: token["admin"], Role.USER: token["alice"], None: {}}
        (channel,) = channels.create(
            state, root, {"type": 1, "name": "c", "key": "k", "models": "gpt-4o-mini", "group": "default", "base_url": vendor.url}
        )
        keys = {name: tokens.create(state, Actor(id, name, Role.USER), {"name": "k"}).id for name, id in self._users().items()}
        (code,) = topups.create_codes(state, root, "n", 5)
        with state.databases.logs() as session:
            session.add(row := Log(user_id=self._users()["alice"], type=Kind.CONSUME, created_at=int(state.clock()), content="c"))
            session.flush()
            self.log = row.id
        self.people, self.code = self._users(), code.id
        self.places = {"/user": self.id, "/channel": channel, "/token": keys["alice"], "/redemption": code.id, "/log": self.log,
                       "/api/channel": channel, "/api/token": keys["alice"], "/api/redemption": code.id}  # fmt: skip
        state.changed()

    def restore_roles(self) -> None:
        """Give everyone the role and the token of the beginning: a form of an earlier test may have taken them."""
        with self.state.databases.transaction() as session:
            for name, role in ROLES.items():
                found = session.get_one(User, self.people[name])
                found.role, found.status, found.access_token_hash = role, Status.ENABLED, access.digest((name * 32)[:32])
        self.state.changed()

    def _users(self) -> dict[str, int]:
        with self.state.databases.transaction() as session:
            return {str(row.username): row.id for row in session.query(User)}

    def routes(self) -> list[tuple[str, str, doors.Guard]]:
        found = [(method, rule, guard) for (method, rule), guard in doors.guards(self.app).items() if rule not in LEFT_OUT]
        return sorted(found, key=lambda each: (each[1].startswith(LAST), each[1], each[0]))

    def says(self, method: str, rule: str) -> Any:
        for each in self.app.url_map.iter_rules():
            if each.rule == rule and method in (each.methods or ()):
                return self.app.view_functions[each.endpoint]
        raise LookupError(rule)

    def path(self, rule: str, hostile: str = "") -> str:
        """The address of a rule: with its row, or with a hostile value in place of each variable."""
        place = next((str(id) for start, id in self.places.items() if rule.startswith(f"{start}/")), str(self.id))
        if "delete" in rule and not hostile:
            place = "987654321"  # rows are needed by other routes
        known = {"slug": "general", "name": "none", "what": "mail", "action": "enable", "model": "m", "rest": "r", "secret": "s"}
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda found: hostile or known.get(found[1], place), rule)

    def call(self, method: str, path: str, role: Role | None, **more: Any) -> None:
        said = {name: value for name, value in more.items() if name != "what"}
        client = self.client if role is None else self.bare
        answer = client.open(path, method=method, headers=self.roles[role] | {"Accept-Language": "en"}, **said)
        what = f"{method} {path[:100]} {str(more.pop('what', ''))[:100]}"
        if answer.status_code >= 500 or (answer.status_code >= 400 and not sentence(answer)):
            self.wrong.append(f"{what}: {answer.status_code} {sentence(answer)[:200]!r}")
        answer.close()

    def open(self, method: str, path: str, **more: Any) -> TestResponse:
        """What root gets."""
        return self.bare.open(path, method=method, headers=self.roles[Role.ROOT] | {"Accept-Language": "en"}, **more)

    def some(self, values: tuple[str, ...]) -> Iterator[str]:
        """The next values of the rotation; of those that databases differ in where the rest was tried on SQLite."""
        if self.state.databases.engine.dialect.name != "sqlite" and values is TEXTS:
            return (STORED[next(self.count) % len(STORED)] for _ in range(2))
        return (values[next(self.count) % len(values)] for _ in range(EACH))


def sentence(answer: TestResponse) -> str:
    """What an answer says to a reader, without its markup."""
    if answer.mimetype == "application/json":
        said = answer.get_json()
        return str(said.get("message") or said.get("error", {}).get("message") or "")
    bare = re.sub(r"<(script|style|head)\b.*?</\1>|<[^>]*>", " ", answer.text, flags=re.DOTALL)
    return " ".join(html.unescape(bare).split()) if len(bare.split()) > 2 or "HX-Redirect" in answer.headers else ""


@pytest.fixture
def site(everywhere: Site) -> Iterator[Site]:
    """The application; a test fails with every answer that was wrong in it."""
    everywhere.wrong.clear()
    everywhere.restore_roles()
    yield everywhere
    assert not everywhere.wrong, f"{len(everywhere.wrong)} wrong answers:\n" + "\n".join(everywhere.wrong[:40])


@pytest.fixture(scope="module", params=servers.KINDS)
def everywhere(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, vendor = tmp_path_factory.mktemp("hostile"), FakeVendor()
    limits = dict.fromkeys(("GLOBAL_API_RATE_LIMIT", "GLOBAL_WEB_RATE_LIMIT", "CRITICAL_RATE_LIMIT"), "0")
    with servers.fresh(request.param, folder, "_hostile") as dsn:
        environment = {"SQL_DSN": dsn, "INSTANCE_PATH": str(folder), "LOG_DIR": "", **limits}
        with servers.application(environment) as app:
            yield Site(app, vendor)
    vendor.close()


# What is promised of single values


def said(answer: TestResponse) -> str:
    """What the management API says of a request that it refused."""
    assert answer.status_code < 500 and answer.get_json()["success"] is False, answer.text
    return str(answer.get_json()["message"])


def test_a_nul_in_a_form_is_a_complaint_or_no_match(site: Site) -> None:
    visitor = site.app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get("/login").text)[1]  # type: ignore[index]
    form = {"csrf_token": token, "username": "a\0b", "password": "correct horse", "confirm": "correct horse"}
    assert visitor.post("/login", data=form).status_code in (401, 422)
    assert visitor.post("/register/name", data=form).status_code == 200
    assert visitor.post("/register", data=form).status_code in (303, 422)
    for place in ("/token", "/log", "/channel", "/user", "/redemption", "/audit"):
        assert site.open("GET", f"{place}?q=%00").status_code == 200, place
    assert site.open("GET", "/log?model=%00").status_code == 200
    assert site.open("POST", "/topup", data={"key": "\0"}).status_code == 422


def test_an_id_beyond_64_bits_is_not_found_or_ignored(site: Site) -> None:
    huge = "99999999999999999999"
    for place in ("/log?before=", "/audit?before=", "/log?id=", "/log/live?after=", "/token?edit=", "/channel?edit=",
                  "/user?edit=", "/redemption?edit=", "/log?user_id=", "/log?channel=", "/topup?before="):  # fmt: skip
        assert site.open("GET", place + huge).status_code == 200, place
    for place in ("/token/edit/{}", "/user/edit/{}", "/channel/edit/{}", "/redemption/edit/{}", "/log/{}.json",
                  "/redemption/created?ids={}"):  # fmt: skip
        assert site.open("GET", place.format(huge)).status_code == 404, place


@pytest.mark.parametrize("seconds", [1796176946762, 2**62, 253402300800, -2, -62135596800])
def test_an_expiry_that_is_not_in_seconds_is_refused(site: Site, seconds: int) -> None:
    for path, more in (("/api/token/", {"unlimited_quota": True}), ("/api/redemption/", {"quota": 5, "count": 1})):
        body = {"name": "x", "expired_time": seconds} | more
        assert "seconds since 1970" in said(site.open("POST", path, json=body))
    if seconds > 0:
        form = {"name": "x", "expiry": str(seconds)}
        refused = site.open("POST", "/token/add", data=form)
        assert refused.status_code == 422 and "seconds since 1970" in refused.text


def test_pages_show_stored_times_that_no_calendar_holds(site: Site) -> None:
    with site.state.databases.transaction() as session:
        made = []
        for far in (1796176946762, 2**63 - 1, -(2**63), 253402300799):
            times = {"created_time": far}
            made += [
                Token(key=f"{far:048d}"[:48], user_id=site.people["rooty"], name="far", accessed_time=far, expired_time=far,
                      **times),
                Redemption(key=f"{far:032d}"[:32], name="far", quota=1, status=3, redeemed_time=far, expired_time=far, **times),
                Channel(name="far", type=1, test_time=far, status=3, status_time=far, balance=1.0, balance_updated_time=far,
                        tests="1", response_time=1, **times),
            ]  # fmt: skip
        session.add_all(made)
        session.flush()
        ids = [(type(row).__tablename__, row.id) for row in made]
    with site.state.databases.logs() as session:
        session.add(row := Log(user_id=site.people["rooty"], type=Kind.CONSUME, created_at=2**62, content="c"))
        session.flush()
        late = row.id
    pages = {"tokens": "/token/edit/", "redemptions": "/redemption/edit/", "channels": "/channel/edit/"}
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        site.client.set_cookie("zone", zone.replace("/", "%2F"))
        for path in ("/token", "/redemption", "/channel", f"/log?id={late}", *(pages[table] + str(id) for table, id in ids)):
            assert site.open("GET", path).status_code == 200, (zone, path)
    site.client.delete_cookie("zone")
    with site.state.databases.transaction() as session:
        for row in made:
            session.delete(session.merge(row))
    with site.state.databases.logs() as session:
        session.delete(session.get(Log, late))


@pytest.mark.parametrize("text", ["2030-02-30T00:00", "soon", "0001-01-01T00:00", "1969-12-31T00:00", "2030-13-01"])
def test_an_impossible_date_is_refused_where_it_is_typed(site: Site, text: str) -> None:
    form = {"name": "c", "quota": "5", "count": "1", "expired_time": text}
    for path, more in (("/redemption/add", {}), (f"/redemption/edit/{site.code}", {}), ("/token/add", {"expiry": "date"})):
        refused = site.open("POST", path, data=form | more)
        assert refused.status_code == 422 and "Give a date and a time." in refused.text, path
    for path, format in (("/log", ""), ("/log", "csv"), ("/dashboard", "csv"), ("/dashboard", "")):
        refused = site.open("GET", path, query_string={"range": "custom", "from": text, "to": "2030-01-01", "format": format})
        assert refused.status_code == 422 and "is not a date and a time" in refused.text, path


def test_a_span_of_all_times_is_cut_to_what_a_chart_can_show(site: Site) -> None:
    whole = {"range": "custom", "from": "1970-01-02T00:00", "to": "9999-12-31T00:00"}
    assert len(site.open("GET", "/log", query_string=whole).text) < 500_000


NUMBERS = (
    ("QuotaForNewUser", "99999999999999999999"), ("QuotaForInviter", "9007199254740993"), ("QuotaForInvitee", str(2**63)),
    ("QuotaRemindThreshold", "99999999999999999999"), ("PreConsumedQuota", str(2**60)), ("QuotaPerUnit", "1e308"),
    ("LogRetentionDays", str(2**62)), ("UserTokensPerMinute", str(2**62)), ("UserConcurrency", str(2**62)),
    ("ChannelDisableThreshold", "1e300"), ("ChannelBalanceThreshold", "inf"), ("ModelRatio", '{"m": 1e308}'),
    ("ModelRatio", '{"m": NaN}'), ("CompletionRatio", '{"m": Infinity}'), ("GroupRatio", '{"default": 1e308}'),
    ("CallPrice", '{"m": ' + "9" * 400 + "}"), ("ToolPrice", '{"web_search": 1e12}'), ("TierRatio", '{"flex": 1e12}'),
    ("GroupLimits", '{"default": {"rpm": ' + str(2**63) + "}}"), ("CacheRatio", '{"m": 1000000001}'),
)  # fmt: skip


@pytest.mark.parametrize(("key", "value"), NUMBERS)
def test_a_setting_that_no_database_can_hold_is_refused_by_its_name(site: Site, key: str, value: str) -> None:
    refused = said(site.open("PUT", "/api/option/", json={"key": key, "value": value}))
    assert refused.startswith(f"{BY_KEY[key].label}: ") and len(refused) > len(BY_KEY[key].label) + 10


@pytest.mark.parametrize(("path", "body"), [
    ("/api/token/", {"name": "x", "remain_quota": 2**53 + 1}), ("/api/token/", {"name": "x", "requests_per_minute": 2**62}),
    ("/api/token/", {"name": "x", "tokens_per_minute": 2**53 + 1}), ("/api/token/", {"name": "x", "concurrency": 2**62}),
    ("/api/channel/", {"priority": 2**62}), ("/api/channel/", {"priority": -(2**62)}),
        ("/api/channel/", {"weight": 2**62}), ("/api/channel/", {"models": "m," + "x" * 192}),
        ("/api/channel/", {"group": "g" * 65}),
])  # fmt: skip
def test_what_no_column_holds_is_refused_by_its_name(site: Site, path: str, body: dict[str, Any]) -> None:
    *_, name = body
    more = {"type": 1, "name": "x", "key": "k", "models": "m", "group": "default"} if "channel" in path else {}
    assert name in said(site.open("POST", path, json=more | body))


def test_the_ratios_that_fit_stay_in_force_beside_a_stored_one_that_does_not(site: Site) -> None:
    with site.state.databases.transaction() as session:
        option.put(session, "ModelRatio", '{"absurd": 1e308, "plain": 2}', now=1, by=0)
        version.bump(session, "settings")
    site.state.changed()
    assert site.state.settings.model_ratio == {"plain": 2}
    with site.state.databases.transaction() as session:
        option.put(session, "ModelRatio", "{}", now=1, by=0)
        version.bump(session, "settings")
    site.state.changed()


@pytest.mark.parametrize("sign", [*",;，、；\n\t\u3000", "\r\n", " ， "])
def test_lists_are_separated_by_what_keyboards_write(site: Site, sign: str) -> None:
    models, groups = f"m1{sign}m2", f"default{sign}vip"
    form = {"type": "1", "name": "many", "key": "k", "models": models, "group": groups}
    assert site.open("POST", "/channel/add", data=form).status_code < 400
    assert site.open("POST", "/api/channel/", json=form | {"type": 1}).get_json()["success"]
    subnet = f"10.0.0.0/8{sign}127.0.0.1"
    key = {"name": "many", "models": models, "subnet": subnet}
    assert site.open("POST", "/token/add", data=key).status_code < 400
    assert site.open("POST", "/api/token/", json=key | {"unlimited_quota": True}).get_json()["success"]
    with site.state.databases.transaction() as session:
        made = session.query(Channel).filter_by(name="many").all()
        assert [(row.models, row.group) for row in made] == [("m1,m2", "default,vip")] * 2
        keys = session.query(Token).filter_by(name="many").all()
        assert [(row.models, row.subnet) for row in keys] == [("m1,m2", "10.0.0.0/8,127.0.0.1")] * 2
        for row in (*made, *keys):
            session.delete(row)


def test_stored_lists_with_other_commas_are_read_as_lists(site: Site) -> None:
    assert Channel(models="m1，m2", group="default、vip").model_names() == ["m1", "m2"]
    assert Channel(models="m1，m2", group="default、vip").group_names() == ["default", "vip"]


def test_relayed_requests_with_a_nul_are_answered_and_logged(site: Site) -> None:
    with site.state.databases.transaction() as session:
        key = session.query(Token).filter_by(user_id=site.people["rooty"]).first()
        headers = {"Authorization": f"Bearer sk-{key.key}", "User-Agent": "a\u00ff", "OpenAI-Beta": "\u00ff"}
    base = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a\0b"}]}
    for more in ({}, {"user": "a\0b"}, {"model": "a\0b"}, {"model": "\ud800"}, {"model": LONG}, {"metadata": {"a\0": "\0"}},
                 {"service_tier": "\0"}):  # fmt: skip
        answer = site.client.post("/v1/chat/completions", json=base | more, headers=headers)
        assert answer.status_code < 500 or answer.status_code == 503, (str(more)[:80], answer.text[:300])
    for path in ("/v1/models/a%00b", "/v1/oneapi/proxy/1/a%00b?c=%00", "/v1/a%00b", "/v1/engines/a%00b/embeddings"):
        for method in ("GET", "POST"):
            answer = site.client.open(path, method=method, headers=headers, json={"input": "a\0b"})
            assert answer.status_code < 500 or answer.status_code == 503, (path, answer.text[:300])
    assert site.open("GET", "/log?range=24h").status_code == 200


@pytest.mark.parametrize("hostile", ["http://[", "http://a:999999/", "\u00ff" * 50, "9" * 3900, "/" * 3000, "%00", "a\tb"])
def test_hostile_headers_and_cookies(site: Site, hostile: str) -> None:
    names = ("Referer", "HX-Current-URL", "Origin", "Accept-Language", "Accept-Encoding", "HX-Target", "X-CSRF-Token", "Cookie",
             "X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Proto", "Idempotency-Key", "If-None-Match", "Range")  # fmt: skip
    for number, name in enumerate(names):
        fragment = {"HX-Request": "true"} if number % 2 else {}
        for method, path in (("GET", "/token"), ("GET", "/nowhere"), ("POST", "/preferences")):
            answer = site.client.open(path, method=method, headers=site.roles[Role.ROOT] | fragment | {name: hostile})
            assert answer.status_code < 500, (name, path, answer.text[:300])
    for cookie in ("zone", "lang", "times", "appearance", "density", "log_columns"):
        site.client.set_cookie(cookie, hostile)
    assert site.open("GET", "/log").status_code < 500
    for cookie in ("zone", "lang", "times", "appearance", "density", "log_columns"):
        site.client.delete_cookie(cookie)


# The walk


def test_ids_in_addresses(site: Site) -> None:
    for method, rule, guard in site.routes():
        if "<" in rule:
            for hostile in IDS:
                for role in {guard.allow, Role.ROOT}:
                    site.call(method, site.path(rule, hostile), role)


def test_query_strings(site: Site) -> None:
    for method, rule, guard in site.routes():
        if method == "GET":
            for name in names(site, method, rule, guard, "query_string"):
                for value in site.some(TEXTS):
                    site.call(method, site.path(rule), guard.allow, query_string={name: value}, what={name: value})


def test_forms(site: Site) -> None:
    for method, rule, guard in site.routes():
        if method == "POST" and guard.dialect == "page" and guard.allow is not None:
            known = names(site, method, rule, guard, "data")
            for name in known:
                for value in site.some(TEXTS):
                    site.call(method, site.path(rule), guard.allow, data=passing(known) | {name: value}, what={name: value})


def test_bodies_of_the_api(site: Site) -> None:
    for method, rule, guard in site.routes():
        if guard.dialect == "api" and (fields := getattr(site.says(method, rule), "takes", None)):
            passes = {name: example(name, kind, site) for name, kind in fields.items()}
            for name in fields:
                for value in site.some(RAW):
                    text = json.dumps({**passes, name: "HERE"}).replace('"HERE"', value)
                    site.call(method, site.path(rule), guard.allow, data=text, content_type=JSON, what={name: value})
            for body in ("", "[]", "[" * 4000, "\0", "null", '"a"', "{" * 10):
                site.call(method, site.path(rule), guard.allow, data=body, content_type=JSON, what=body)


def example(name: str, kind: type, site: Site) -> Any:
    known = {"id": site.id, "user_id": site.id, "type": 1, "count": 1}
    return known.get(name, {int: 1, bool: True}.get(kind, PASSES.get(name, "a")))


def passing(names: Iterable[str]) -> dict[str, str]:
    return {name: PASSES.get(name, "1") for name in names}


def names(site: Site, method: str, rule: str, guard: doors.Guard, part: str) -> list[str]:
    """The names that a route reads when the others pass, in their order."""
    found: set[str] = set()
    for _ in range(3):
        Reads.names = set()
        site.call(method, site.path(rule), guard.allow, **{part: passing(found)})
        if found >= Reads.names:
            break
        found |= Reads.names
    return sorted(found | set(getattr(site.says(method, rule), "query", ()) if part == "query_string" else ()))


def test_the_walk_knows_fields(site: Site) -> None:
    """The walk would prove nothing if it found no fields."""
    for method, rule, part, least in (
        ("POST", "/channel/add", "data", {"name", "models", "group", "priority", "weight"}),
        ("POST", "/token/add", "data", {"name", "models", "subnet", "remain_quota", "expiry"}),
        ("GET", "/log", "query_string", {"q", "before", "id", "model", "min_quota", "page", "from", "to"}),
        ("GET", "/api/log/", "query_string", {"before", "p", "page_size", "start_timestamp"}),
    ):
        guard = doors.guards(site.app)[(method, rule)]
        assert least <= set(names(site, method, rule, guard, part))
