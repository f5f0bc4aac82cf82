"""Which path wants what: the relay's table of contents."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`kind` of call; `model` when the client may leave it out; `form` takes multipart; `needs` are required fields."""

    kind: str
    model: str = ""
    form: bool = False
    needs: tuple[str, ...] = ()
    streams: bool = False


CHAT = Endpoint("chat", needs=("messages",), streams=True)

ENDPOINTS = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": Endpoint("completions", needs=("prompt",), streams=True),
    "/v1/edits": Endpoint("edits", needs=("instruction",)),
    "/v1/embeddings": Endpoint("embeddings", needs=("input",)),
    "/v1/moderations": Endpoint("moderations", "text-moderation-latest", needs=("input",)),
    "/v1/images/generations": Endpoint("images", "dall-e-2", needs=("prompt",), streams=True),
    "/v1/images/edits": Endpoint("image_edits", "dall-e-2", form=True, needs=("prompt",), streams=True),
    "/v1/images/variations": Endpoint("image_variations", "dall-e-2", form=True),
    "/v1/audio/speech": Endpoint("speech", needs=("input",), streams=True),
    "/v1/audio/transcriptions": Endpoint("transcriptions", "whisper-1", form=True, streams=True),
    "/v1/audio/translations": Endpoint("translations", "whisper-1", form=True),
    "/v1/rerank": Endpoint("rerank", needs=("query", "documents")),
}

PROXY = "/v1/oneapi/proxy/"
PROXIED = Endpoint("proxy")
# What a key may read about itself.
TOLD = {
    "/v1/models", "/dashboard/billing/subscription", "/dashboard/billing/usage", "/v1/dashboard/billing/subscription",
    "/v1/dashboard/billing/usage",
}  # fmt: skip
# Known to OpenAI's SDKs and not offered here.
NOT_IMPLEMENTED = ("/v1/files", "/v1/fine_tuning", "/v1/assistants", "/v1/threads")


def known(method: str, path: str) -> bool:
    """Whether there is anything behind a path beside ENDPOINTS, be it only the news that it is not implemented."""
    told = method in ("GET", "HEAD") and (path in TOLD or path.startswith("/v1/models/"))
    return told or path.startswith(PROXY) or missing(method, path)


def missing(method: str, path: str) -> bool:
    """Whether OpenAI has this and we do not."""
    return f"{path}/".startswith(tuple(f"{part}/" for part in NOT_IMPLEMENTED)) or (
        method == "DELETE" and path.startswith("/v1/models/")
    )


def find(path: str) -> Endpoint | None:
    """The endpoint of a path; `/v1/engines/<model>/embeddings` names its model in the path."""
    found = ENDPOINTS.get(path)
    if found is None and path.startswith("/v1/engines/") and path.endswith("/embeddings"):
        return Endpoint("embeddings", path[len("/v1/engines/") : -len("/embeddings")], needs=("input",))
    return found
