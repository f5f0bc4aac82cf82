"""PaLM, which Google withdrew in 2024: old channels are served by Gemini, whose key and address are the same.

https://ai.google.dev/gemini-api/docs/deprecations
"""

from oneapi.vendors import gemini_protocol, gemini_request, google_errors
from oneapi.vendors.contract import Protocol, Vendor
from oneapi.vendors.signing import header
from oneapi.wire import Call, Request, VendorError

BASE = "https://generativelanguage.googleapis.com"
GONE = "Google withdrew PaLM in 2024. Map the model {model} to a Gemini model in this channel, or use a channel of type Gemini."


def build(call: Call) -> Request:
    """A Gemini model the channel maps to is asked through the Gemini API; PaLM's own names cannot be asked any more."""
    if "gemini" not in call.model:
        raise VendorError("no_model", GONE.format(model=call.model), status=410, code="model_withdrawn")
    action = "streamGenerateContent?alt=sse" if call.streaming else "generateContent"
    return Request(gemini_request.address(call, action), gemini_request.body(call))


VENDORS = (
    Vendor(
        11, "palm", "PaLM", BASE,
        protocols={"chat": Protocol(build, gemini_protocol.parse, gemini_protocol.stream, fail=google_errors.fail)},
        inline_images=True,
        sign=header("x-goog-api-key"),
        owned_by="google",
        documents="https://ai.google.dev/gemini-api/docs/deprecations",
    ),
)  # fmt: skip
