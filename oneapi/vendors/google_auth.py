"""Google credentials turned into access tokens: service accounts sign an assertion, users refresh. Pure: no clock, no network.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest
"""

import base64
import json
from typing import Any
from urllib.parse import urlencode

from oneapi.vendors.contract import failure
from oneapi.wire import Call, Reply, Request, VendorError

Json = dict[str, Any]

TOKEN = "https://oauth2.googleapis.com/token"  # also the audience of every assertion, wherever it is sent
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LIFETIME = 3600  # the longest that Google allows


def exchange(credential: Json, now: float) -> Request:
    """The request that buys an access token with a service account's key or a user's refresh token."""
    match credential.get("type"):
        case "service_account":
            form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion(credential, int(now))}
        case "authorized_user":
            form = {"grant_type": "refresh_token"} | {k: credential[k] for k in ("client_id", "client_secret", "refresh_token")}
        case kind:
            raise VendorError("auth", f"Credentials of type {kind!r} are not supported: give a service account's JSON key.")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request(credential.get("token_uri") or TOKEN, urlencode(form).encode(), headers)


def token(reply: Reply, call: Call) -> tuple[str, float]:
    """The access token and its lifetime in seconds; a refusal means that the credential is no good."""
    if reply.status >= 400:
        error = failure(reply, call)
        kind = "auth" if reply.status < 500 and reply.status != 429 else error.kind
        raise VendorError(kind, f"Google gave no access token: {error.message}", status=reply.status, code=error.code)
    answer = reply.json()
    return str(answer["access_token"]), float(answer.get("expires_in") or LIFETIME)


def assertion(credential: Json, now: int) -> str:
    """A JWT in which the service account asks for a token, signed with RS256."""
    from cryptography.hazmat.primitives.asymmetric import padding  # here: 3 MB, and few have such channels
    from cryptography.hazmat.primitives.hashes import SHA256

    header = {"typ": "JWT", "alg": "RS256"}
    if credential.get("private_key_id"):
        header["kid"] = credential["private_key_id"]
    claims = {"iat": now, "exp": now + LIFETIME, "iss": credential["client_email"], "aud": TOKEN, "scope": SCOPE}
    signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    return f"{signed}.{_encoded(_private_key(credential).sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def _private_key(credential: Json) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(str(credential["private_key"]).replace("\\n", "\n").encode(), None)
    except (KeyError, ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise VendorError("auth", "The service account's JSON holds no usable private_key.")
    return key


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
