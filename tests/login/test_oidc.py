"""OpenID Connect against a whole provider: discovery, PKCE, nonce, keys, and id_tokens that are true or not quite."""

import base64
import hmac
import json
import time

import gevent
import pytest
from bare import PASSWORDS
from joserfc.jwk import RSAKey
from ways import SECRET, enter, signed_in, travel, way_back

from oneapi.login import oidc as module
from oneapi.login.contract import LARGEST


@pytest.fixture(autouse=True)
def nothing_discovered():
    module._discovered.clear()


def test_a_stranger_gets_an_account_with_their_name(client, oidc, people):
    row = people(travel(client, "oidc")["id"])
    assert (row["username"], row["oidc_id"], row["display_name"]) == ("zoe", "Subject-1", "Zoe")
    assert (row["email"], row["email_verified"]) == ("zoe@oidc.test", True)
    assert signed_in(client) == "zoe"


def test_what_the_provider_is_asked(client, oidc):
    travel(client, "oidc")
    left = next(asked["query"] for asked in oidc.asked if asked["path"] == "/authorize")
    assert left.pop("tenant") == "1", "what the endpoint's address says already stays"
    assert {name for name, value in left.items() if value} == {
        "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
    }  # fmt: skip
    assert left["scope"] == "openid profile email"
    exchanged = next(asked for asked in oidc.asked if asked["path"] == "/token")
    assert exchanged["type"] == "application/x-www-form-urlencoded"
    assert exchanged["values"]["redirect_uri"] == left["redirect_uri"] == "http://localhost:3000/oauth/oidc"


@pytest.mark.parametrize(
    "wanted, username",
    [("alice", "oidc_5"), ("longer-than-twelve", "oidc_5"), ("a b", "oidc_5"), ("", "oidc_5"), ("刘洋", "刘洋")],
)
def test_a_name_that_is_taken_or_odd_is_replaced(client, oidc, people, wanted, username):
    oidc.info["preferred_username"] = wanted
    assert people(travel(client, "oidc")["id"])["username"] == username


@pytest.mark.parametrize("verified, kept", [(True, "zoe@oidc.test"), ("true", "zoe@oidc.test"), (False, None), (None, None)])
def test_only_a_verified_address_is_kept(client, oidc, people, verified, kept):
    oidc.info["email_verified"] = verified
    assert people(travel(client, "oidc")["id"])["email"] == kept


def test_who_comes_again_is_the_same_account(client, app, oidc):
    assert travel(client, "oidc")["id"] == travel(app.test_client(), "oidc")["id"]


def test_subjects_differ_in_case(client, app, oidc):
    first = travel(client, "oidc")["id"]
    oidc.claims, oidc.info = {"sub": "SUBJECT-1"}, {"sub": "SUBJECT-1"}
    assert travel(app.test_client(), "oidc")["id"] != first


NOW = 1_800_000_000


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"}, {"nonce": None}, {"exp": NOW - 121}, {"exp": None}, {"iss": "https://evil.test"}, {"iss": None},
        {"aud": "another-app"}, {"aud": ["another-app"]}, {"aud": None}, {"aud": ["our-app", "x"], "azp": "x"},
        {"aud": ["our-app", "x"], "azp": ""}, {"aud": "our-app", "azp": "x"}, {"aud": []},
        {"iat": NOW + 600}, {"nbf": NOW + 600}, {"sub": None}, {"sub": ""}, {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
)  # fmt: skip
def test_an_id_token_that_is_not_true_is_refused(client, oidc, claims):
    oidc.claims = claims
    assert travel(client, "oidc")["refused"] in ("provider_refused", "provider_odd")
    assert signed_in(client) == ""


@pytest.mark.parametrize(
    "claims", [{"exp": NOW - 60}, {"aud": ["our-app"]}, {"aud": ["our-app", "x"], "azp": "our-app"}, {"aud": ["x", "our-app"]}]
)
def test_an_id_token_that_is_true_enough_is_taken(client, oidc, claims):
    oidc.claims = claims
    assert travel(client, "oidc")["bound"] is False


def test_a_signature_of_another_key_is_refused(client, oidc):
    oidc.signs = RSAKey.generate_key(2048, {"kid": "k1"})
    assert travel(client, "oidc")["refused"] == "provider_refused"


def test_a_key_of_another_name_is_refused(client, oidc):
    oidc.signs, oidc.header = RSAKey.generate_key(2048, {"kid": "k2"}), {"alg": "RS256", "kid": "k2"}
    assert travel(client, "oidc")["refused"] == "provider_refused"


def test_keys_may_be_changed(client, app, oidc):
    travel(client, "oidc")
    oidc.signs = oidc.key = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig"})
    oidc.header = {"alg": "RS256", "kid": "k2"}
    assert travel(app.test_client(), "oidc")["bound"] is False


UNREADABLE = [
    {"kty": "EC", "crv": "BP-256", "x": "AA", "y": "AA", "kid": "z"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "z"},
    {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43, "kid": "z"},
    {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA", "kid": "z"},
    {"kty": "OKP", "crv": "Ed9000", "x": "AA", "kid": "z"},
    {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "z"},
    {"kty": "RSA", "n": "AA", "kid": "z"},
    {"kty": "RSA", "n": "!!", "e": "??", "kid": "z"},
    {"kty": "RSA", "n": 5, "e": 3, "kid": "z"},
    {"kty": ["RSA"], "kid": "z"},
    {"kid": "z"},
    "a key",
    None,
]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("odd", UNREADABLE, ids=str)
def test_a_key_that_cannot_be_read_is_skipped(client, oidc, odd, first):
    """RFC 7517, section 5."""
    right = oidc.key.as_dict(private=False)
    oidc.routes["GET", "/keys"] = lambda asked: {"keys": [odd, right] if first else [right, odd]}
    assert travel(client, "oidc").get("bound") is False


@pytest.mark.parametrize("more", [{"alg": None}, {"use": None}, {"key_ops": None}, {"x5c": None, "x5t": None}, {"issuer": 1}])
def test_a_key_with_odd_members_is_read(client, oidc, more):
    oidc.routes["GET", "/keys"] = lambda asked: {"keys": [oidc.key.as_dict(private=False) | more]}
    assert travel(client, "oidc").get("bound") is False


def test_a_set_without_a_key_that_can_be_read_is_named(client, oidc):
    oidc.routes["GET", "/keys"] = lambda asked: {"keys": UNREADABLE}
    assert "refused" in travel(client, "oidc")


TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


@pytest.mark.parametrize(
    "tid, issuer, taken",
    [
        (TENANT, f"/{TENANT}/v2.0", True), (TENANT, "/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", False),
        (None, f"/{TENANT}/v2.0", False), ("../evil", "/../evil/v2.0", False), (TENANT, "/{tenantid}/v2.0", False),
    ],
)  # fmt: skip
def test_the_issuer_of_several_tenants_is_that_of_the_tenant_of_the_token(client, oidc, tid, issuer, taken):
    """Entra ID's common and organizations endpoints."""
    oidc.metadata["issuer"] = oidc.url + "/{tenantid}/v2.0"
    oidc.claims = {"iss": oidc.url + issuer, "tid": tid}
    assert ("bound" in travel(client, "oidc")) is taken


@pytest.mark.parametrize("named", [["RS256", "HS256", "none"], None])
@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_a_signature_that_anybody_can_make_is_refused(client, oidc, named, algorithm):
    """Not even one made with what the provider publishes, or with the secret of the application."""
    for key in (oidc.key.as_pem(private=False), SECRET.encode()):
        oidc.metadata["id_token_signing_alg_values_supported"] = named
        oidc.sign = lambda claims, key=key: forged({"alg": algorithm, "kid": "k1"}, claims, key)
        assert travel(client, "oidc")["refused"] == "provider_refused"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_signature_with_the_client_secret_counts_where_it_is_allowed(client, oidc, setting, algorithm):
    setting(OidcHmacSignatures=True)
    oidc.metadata["id_token_signing_alg_values_supported"] = [algorithm]
    oidc.sign = lambda claims: forged({"alg": algorithm}, claims, SECRET.encode())
    assert travel(client, "oidc")["bound"] is False


@pytest.mark.parametrize("secret", [SECRET, ""])
@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_a_public_key_is_never_an_hmac_secret(client, oidc, setting, algorithm, secret):
    """Algorithm confusion, and a client without a secret, whose key would be empty."""
    setting(OidcHmacSignatures=True, OidcClientSecret=secret)
    token, right = oidc.routes["POST", "/token"], "Basic " + base64.b64encode(f"our-app:{SECRET}".encode()).decode()
    oidc.routes["POST", "/token"] = lambda asked: token(asked | {"authorization": right})
    oidc.metadata["id_token_signing_alg_values_supported"] = ["RS256", "HS256", "none"]
    back = way_back(client, "oidc")
    for key in (oidc.key.as_pem(private=False), b""):
        oidc.sign = lambda claims, key=key: forged({"alg": algorithm, "kid": "k1"}, claims, key)
        assert client.get(back).get_json()["refused"] in ("provider_refused", "provider_odd")
        back = way_back(client, "oidc")


def test_a_symmetric_key_of_the_key_set_signs_nothing(client, oidc, setting):
    """Everybody can read the key set."""
    setting(OidcHmacSignatures=True)
    oidc.metadata["id_token_signing_alg_values_supported"] = ["HS256"]
    known = {"kty": "oct", "kid": "k1", "k": base64.urlsafe_b64encode(b"known" * 8).decode().rstrip("=")}
    oidc.routes["GET", "/keys"] = lambda asked: {"keys": [known]}
    oidc.sign = lambda claims: forged({"alg": "HS256", "kid": "k1"}, claims, b"known" * 8)
    assert travel(client, "oidc")["refused"] == "provider_refused"


@pytest.fixture
def without_id_token(oidc):
    token = oidc.routes["POST", "/token"]
    oidc.routes["POST", "/token"] = lambda asked: {k: v for k, v in token(asked).items() if k != "id_token"}
    return oidc


@pytest.mark.parametrize(
    "info, identity",
    [({"sub": "Subject-1", "id": 7}, "Subject-1"), ({"id": 1}, "1"), ({"id": "u-7"}, "u-7"), ({"id": True}, None), ({}, None),
     ({"sub": "", "id": 7}, None), ({"id": " "}, None)],
)  # fmt: skip
def test_without_an_id_token_userinfo_says_who_it_is_where_that_is_allowed(
    client, without_id_token, setting, people, info, identity
):
    without_id_token.info = info
    assert travel(client, "oidc")["refused"] == "provider_odd"
    setting(OidcUserinfoOnly=True)
    came = travel(client, "oidc")
    assert (people(came["id"])["oidc_id"] if "id" in came else None) == identity


def test_an_id_token_is_checked_also_where_none_is_needed(client, oidc, setting):
    setting(OidcUserinfoOnly=True)
    oidc.claims = {"nonce": "another"}
    assert travel(client, "oidc")["refused"] == "provider_refused"
    oidc.claims, oidc.info = {}, {"id": "Subject-1"}
    assert travel(client, "oidc")["refused"] == "provider_odd", "a number is no sub"


def forged(header: dict[str, str], claims: dict[str, object], key: bytes) -> str:
    signed = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    made = hmac.new(key, signed, "sha" + header["alg"][2:]).digest() if header["alg"] != "none" else b""
    return (signed + b"." + base64.urlsafe_b64encode(made).rstrip(b"=")).decode()


def test_userinfo_of_somebody_else_is_refused(client, oidc):
    oidc.info["sub"] = "Subject-2"
    assert travel(client, "oidc")["refused"] == "provider_odd"


def test_an_answer_that_names_another_issuer_is_refused(client, oidc):
    back = way_back(client, "oidc")
    assert client.get(f"{back}&iss=https://evil.test").get_json()["refused"] == "provider_odd"


def test_a_code_is_worth_nothing_without_the_verifier(client, app, oidc):
    """Somebody who sees another's code cannot use it in a sign-in of their own."""
    stolen = way_back(client, "oidc").partition("code=")[2].partition("&")[0]
    thief = app.test_client()
    state = way_back(thief, "oidc").partition("state=")[2]
    assert thief.get(f"/oauth/oidc?code={stolen}&state={state}").get_json()["refused"] == "provider_refused"


def test_without_discovery_userinfo_says_who_it_is(client, oidc, people, setting):
    """As installations of the old project are set up. The secret travels in the form, as those providers expect."""
    oidc.routes["POST", "/token"] = lambda asked: oidc.exchange(asked["values"])
    setting(
        OidcWellKnown="", OidcAuthorizationEndpoint=f"{oidc.url}/authorize", OidcTokenEndpoint=f"{oidc.url}/token",
        OidcUserinfoEndpoint=f"{oidc.url}/userinfo",
    )  # fmt: skip
    assert people(travel(client, "oidc")["id"])["oidc_id"] == "Subject-1"
    oidc.info = {"sub": ""}
    assert travel(client, "oidc")["said"] == "返回值非法，用户字段为空，请稍后重试！"


def test_the_provider_chooses_how_the_secret_travels(client, oidc):
    oidc.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post", "client_secret_basic"]
    basic = oidc.routes["POST", "/token"]

    def posted(asked):
        assert asked["authorization"] == ""
        pair = f"{asked['values']['client_id']}:{asked['values']['client_secret']}"
        return basic(asked | {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()})

    oidc.routes["POST", "/token"] = posted
    assert travel(client, "oidc")["bound"] is False


def test_basic_credentials_are_form_encoded(client, oidc, setting):
    """RFC 6749, section 2.3.1: a colon or a letter beyond ASCII would part them in the wrong place."""
    sent = []
    oidc.routes["POST", "/token"] = lambda asked: sent.append(asked["authorization"]) or {"error": "invalid_client"}
    setting(OidcClientId="our:app", OidcClientSecret="p+ss w\u00f6rd%:/=")
    assert travel(client, "oidc")["refused"] == "provider_refused"
    assert base64.b64decode(sent[0].removeprefix("Basic ")) == b"our%3Aapp:p%2Bss+w%C3%B6rd%25%3A%2F%3D"


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/userinfo", "/keys"])
def test_a_provider_that_is_broken_is_named(client, oidc, path):
    module._discovered.clear()
    if path == "/.well-known/openid-configuration":
        oidc.broken.add(path)
        assert client.get("/leave/oidc").get_json()["said"] == "无法连接至 OIDC 服务器，请稍后重试！"
        return
    back = way_back(client, "oidc")
    oidc.broken.add(path)
    assert client.get(back).get_json()["said"] == "无法连接至 OIDC 服务器，请稍后重试！"


def test_a_provider_that_is_slow_is_given_up(client, oidc):
    back = way_back(client, "oidc")
    oidc.routes["GET", "/userinfo"] = lambda asked: gevent.sleep(30)
    began = time.monotonic()
    assert client.get(back).get_json()["refused"] == "provider_unreachable"
    assert time.monotonic() - began < 25, "the provider would have taken thirty seconds"


def test_what_was_discovered_is_kept_for_a_while(client, oidc, state):
    for _ in range(3):
        client.get("/leave/oidc")
    assert sum("well-known" in asked["path"] for asked in oidc.asked) == 1
    state.clock.now += module.KEPT_SECONDS
    client.get("/leave/oidc")
    assert sum("well-known" in asked["path"] for asked in oidc.asked) == 2


def test_who_is_signed_in_binds(client, oidc, people):
    enter(client, "alice", PASSWORDS["alice"])
    assert travel(client, "oidc")["bound"] is True
    assert people(username="alice")["oidc_id"] == "Subject-1"


@pytest.mark.parametrize("name", ["oidc", "github"])
def test_the_token_endpoint_is_asked_under_the_guarded_rules(client, request, server, name):
    """A large answer is not read to its end; the secret does not follow a redirect to another host."""
    path = "/token" if request.getfixturevalue(name) and name == "oidc" else "/login/oauth/access_token"
    back = way_back(client, name)
    server.routes["POST", path] = lambda asked: {"access_token": "a" * LARGEST}
    assert client.get(back).get_json()["refused"] == "provider_unreachable"
    back = way_back(client, name)
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    server.routes["POST", path] = lambda asked: f"{elsewhere}/stolen"
    assert client.get(back).get_json()["refused"] == "provider_unreachable"
    assert all(not asked["values"] and not asked["authorization"] for asked in server.asked if asked["path"] == "/stolen")


@pytest.mark.parametrize("more", [{"expires_in": "3600"}, {"expires_in": "soon"}, {"expires_in": None}, {"expires_at": [1]}])
def test_the_lifetime_of_the_access_token_does_not_matter(client, oidc, more):
    token = oidc.routes["POST", "/token"]
    oidc.routes["POST", "/token"] = lambda asked: token(asked) | more
    assert travel(client, "oidc").get("bound") is False


def test_no_log_line_holds_the_verifier(client, oidc, caplog):
    caplog.set_level("DEBUG")
    travel(client, "oidc")
    verifier = next(asked["values"]["code_verifier"] for asked in oidc.asked if asked["path"] == "/token")
    assert verifier and verifier not in caplog.text


@pytest.mark.parametrize("kid", [None, "k1"])
def test_a_single_key_needs_no_name(client, oidc, kid):
    oidc.header = {"alg": "RS256"} | ({"kid": kid} if kid else {})
    known = {name: value for name, value in oidc.key.as_dict(private=False).items() if kid or name != "kid"}
    oidc.routes["GET", "/keys"] = lambda asked: {"keys": [known]}
    assert travel(client, "oidc").get("bound") is False


@pytest.mark.parametrize("discovered, named, taken", [("/", "/", True), ("", "", True), ("/", "", False), ("", "/", False)])
def test_the_issuer_is_exactly_what_discovery_reports(client, oidc, discovered, named, taken):
    """A slash at the end makes another issuer (OpenID Connect Core, section 3.1.3.7)."""
    oidc.metadata["issuer"], oidc.claims = oidc.url + discovered, {"iss": oidc.url + named}
    assert ("bound" in travel(client, "oidc")) is taken


def test_an_unknown_key_costs_one_question_for_the_key_set(client, oidc):
    oidc.header = {"alg": "RS256", "kid": "unknown"}
    travel(client, "oidc")
    assert sum(asked["path"] == "/keys" for asked in oidc.asked) == 1
