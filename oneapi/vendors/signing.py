"""Ways to prove who we are: a Request goes in, the signed Request comes out."""

from oneapi.vendors.contract import Sign
from oneapi.wire import Call, Request


def header(name: str, prefix: str = "") -> Sign:
    """Sign with the key, or the short-lived token, in a header of this name."""

    def sign(request: Request, call: Call) -> Request:
        request.headers[name] = prefix + (call.secret or call.key)
        return request

    return sign


def unsigned(request: Request, call: Call) -> Request:
    """For requests that carry their credentials already, or need none."""
    return request
