"""Any OpenID Connect provider: discovery, PKCE, nonce, and id_tokens whose signature and claims are checked."""

import hmac
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from oneapi.login import client
from oneapi.login.contract import Flow, Profile, Provider, Trouble, access_token, back, get, object_of, text
from oneapi.settings import Settings
from oneapi.state import State

SCOPE = "openid profile email"
# Signatures that only the provider can make; "none" is never accepted.
ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "Ed25519", "EdDSA"]
# Signatures with the client secret: accepted where the setting allows them, and never with a key of the key set.
HMAC_ALGORITHMS = ["HS256", "HS384", "HS512"]
# Discovery of Entra ID's common and organizations endpoints names an issuer with a place for the tenant.
TENANT, TENANT_ID = "{tenantid}", re.compile(r"[0-9a-fA-F-]{36}")
LEEWAY = 120  # seconds that clocks may differ
KEPT_SECONDS = 600.0

_discovered: dict[str, tuple[float, dict[str, Any]]] = {}


def metadata(state: State) -> dict[str, Any]:
    """What the provider says of itself, with the addresses of the settings laid over it; raises Trouble."""
    now = state.settings
    found = dict(_discover(now.oidc_well_known, state.clock())) if now.oidc_well_known else {}
    typed = {
        "authorization_endpoint": now.oidc_authorization_endpoint,
        "token_endpoint": now.oidc_token_endpoint,
        "userinfo_endpoint": now.oidc_userinfo_endpoint,
    }
    return found | {name: address for name, address in typed.items() if address}


def _discover(url: str, now: float) -> dict[str, Any]:
    at, found = _discovered.get(url, (0.0, {}))
    if found and at <= now < at + KEPT_SECONDS:
        return found
    found = object_of(get(url))
    if not text(found, "issuer") or not text(found, "jwks_uri"):
        raise Trouble("odd", "discovery names no issuer or no jwks_uri")
    if len(_discovered) >= 8:
        _discovered.clear()
    _discovered[url] = (now, found)
    return found


def endpoint(known: Mapping[str, Any], name: str) -> str:
    found = text(known, name)
    if not found:
        raise Trouble("odd", f"no {name} is known")
    return found


def address(state: State, flow: Flow) -> str:
    page = endpoint(metadata(state), "authorization_endpoint")
    return client.page("oidc", page, state.settings.oidc_client_id, flow, scope=SCOPE, redirect_uri=back(state, "oidc"))


def identify(state: State, args: Mapping[str, str], flow: Flow) -> Profile:
    known = metadata(state)
    issuer = text(known, "issuer")
    if args.get("iss") and issuer and TENANT not in issuer and args["iss"] != issuer:  # RFC 9207: the answer of another provider
        raise Trouble("odd", "the answer names another issuer")
    answer = object_of(_exchange(state, known, args["code"], flow))
    token = access_token(answer)
    claims = _claims(state, known, answer, token, flow)
    if "userinfo_endpoint" in known:
        claims = _with_userinfo(claims, object_of(get(endpoint(known, "userinfo_endpoint"), token)), state.settings)
    if not text(claims, "sub"):
        raise Trouble("odd", "no sub")
    verified = claims.get("email_verified") in (True, "true")
    return Profile(
        text(claims, "sub"), username=text(claims, "preferred_username"), name=text(claims, "name"),
        email=text(claims, "email") if verified else "",
    )  # fmt: skip


def _exchange(state: State, known: Mapping[str, Any], code: str, flow: Flow) -> Any:
    """Trade the code for tokens, signed in to the token endpoint in the way the provider takes."""
    url = endpoint(known, "token_endpoint")
    ways = known.get("token_endpoint_auth_methods_supported")
    # Without discovery nobody says which way; OpenID Connect's default is Basic.
    basic = "issuer" in known and (not isinstance(ways, list) or "client_secret_post" not in ways)
    now, method = state.settings, "client_secret_basic" if basic else "client_secret_post"
    return client.exchange(
        "oidc", url, now.oidc_client_id, now.oidc_client_secret, code, flow, redirect_uri=back(state, "oidc"), method=method
    )


def _claims(state: State, known: Mapping[str, Any], answer: Mapping[str, Any], token: str, flow: Flow) -> dict[str, Any]:
    """The claims of the id_token, checked. Where only endpoints are known there are no keys to check it with: userinfo speaks."""
    if "issuer" not in known:
        return {}
    now = state.settings
    if "id_token" not in answer and now.oidc_userinfo_only:
        return {}
    signed = text(answer, "id_token")
    if not signed:
        raise Trouble("odd", "no id_token")
    from joserfc import jwt  # here, because without such a provider it would be 4 MB for nothing
    from joserfc.errors import JoseError
    from joserfc.jws import JWSRegistry

    try:
        keys, algorithms = _trusted(now, known, signed)
        decoded = jwt.decode(signed, keys, registry=JWSRegistry(algorithms=algorithms, strict_check_header=False))
        wanted = {"iss": {"values": [_issuer(known, decoded.claims)]}, "aud": {"values": [now.oidc_client_id]}}
        said = {"nonce": flow.nonce, "client_id": now.oidc_client_id, "access_token": token}
        checked = _claims_class(decoded.claims)(decoded.claims, decoded.header, wanted, said)
        checked.validate(now=int(state.clock()), leeway=LEEWAY)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise Trouble("refused", f"id_token: {error}"[:200]) from error
    return dict(checked)


def _claims_class(claims: Mapping[str, Any]) -> Any:
    """Return Authlib's rules. They demand `azp` beside several audiences; OpenID Connect only has it checked when present."""
    from authlib.oidc.core import CodeIDToken

    class WithoutAzp(CodeIDToken):
        def validate_azp(self) -> None:
            """Accept an absent `azp`: the check of `aud` has found our client id."""

    return CodeIDToken if "azp" in claims else WithoutAzp


def _trusted(now: Settings, known: Mapping[str, Any], signed: str) -> tuple[Any, list[str]]:
    """Return the keys and algorithms for a token: the client secret for HMAC where that is allowed, else the key set.

    The two never mix. Otherwise a public key of the key set could serve as an HMAC secret, which everybody knows.
    """
    from joserfc.jwk import OctKey
    from joserfc.jws import extract_compact

    named = extract_compact(signed.encode()).headers().get("alg")
    if named in HMAC_ALGORITHMS and now.oidc_hmac_signatures and now.oidc_client_secret:
        return OctKey.import_key(now.oidc_client_secret), _named(known, HMAC_ALGORITHMS)
    return _keys(object_of(get(endpoint(known, "jwks_uri")))), _named(known, ALGORITHMS)


def _keys(found: Mapping[str, Any]) -> Any:
    """Return the keys of a JWK Set that can be read; RFC 7517, section 5 has the others ignored. Raises Trouble without any."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry, KeySet

    rows, read = found.get("keys"), []
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        with suppress(JoseError, ValueError, TypeError, KeyError, AttributeError, OverflowError, UnsupportedAlgorithm):
            key = JWKRegistry.import_key({name: value for name, value in row.items() if value is not None})
            key.check_use("sig")
            _ = key.public_key if key.key_type != "oct" else None  # a point that is not on its curve shows here at the latest
            read.append(key)
    if not read:
        raise Trouble("odd", "the key set of the provider holds no key that can be read")
    return KeySet(read)


def _issuer(known: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Return the issuer that an id_token must name, for several tenants that of the token's own."""
    tenant = text(claims, "tid")
    return str(known["issuer"]).replace(TENANT, tenant) if TENANT_ID.fullmatch(tenant) else str(known["issuer"])


def _named(known: Mapping[str, Any], trusted: list[str]) -> list[str]:
    """What the provider says it signs with, of what we trust."""
    named = known.get("id_token_signing_alg_values_supported")
    return [name for name in trusted if name in named] if isinstance(named, list) else trusted


def _with_userinfo(claims: dict[str, Any], more: dict[str, Any], now: Settings) -> dict[str, Any]:
    """Both together; userinfo of somebody else is an attack that OpenID Connect warns of."""
    id = more.get("id")
    if not claims and now.oidc_userinfo_only and "sub" not in more and isinstance(id, (str, int)) and not isinstance(id, bool):
        return more | {"sub": str(id)}
    if claims and not hmac.compare_digest(text(claims, "sub").encode(), text(more, "sub").encode()):
        raise Trouble("odd", "userinfo speaks of somebody else")
    return claims | more


def _offered(now: Settings) -> bool:
    return now.oidc_enabled


PROVIDER = Provider("oidc", "OIDC", "OIDC", "oidc_id", "OIDC User", _offered, identify, address)
