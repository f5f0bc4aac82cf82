"""Azure OpenAI: OpenAI's protocol at a resource's own address, in the classic style (deployments) or the v1 style."""

from urllib.parse import parse_qs

from oneapi.fields import Field
from oneapi.vendors import openai
from oneapi.vendors.balances import place, read
from oneapi.vendors.contract import ModelList, Protocol, Vendor
from oneapi.wire import Call, Reply, Request

KINDS = ("chat", "completions", "embeddings", "images", "image_edits", "speech", "transcriptions", "translations")
USAGE_SINCE = "2024-09-01"  # API versions before this one refuse stream_options


def classic(call: Call) -> bool:
    """Whether the address names a deployment; a channel that gives a dated API version means that style."""
    style = call.config.get("style")
    return style == "classic" or (style != "v1" and call.config.get("api_version", "") not in ("", "preview", "latest"))


def version(call: Call) -> str:
    """The client's api-version, else the channel's."""
    asked = parse_qs(call.query).get("api-version") if "api-version" in call.query else None
    return asked[0] if asked else str(call.config.get("api_version") or "")


def url(call: Call) -> str:
    path, dated = openai.PATHS[call.kind].removeprefix("/v1"), version(call)
    if not classic(call):
        query = f"?api-version={dated}" if dated in ("preview", "latest") else ""
        return openai.address(call.base_url, f"/openai/v1{path}") + query
    deployment = call.model.replace(".", "") if call.config.get("remove_dots") in (True, "true") else call.model
    # Cloudflare's gateway puts the deployment straight behind the resource.
    # https://developers.cloudflare.com/ai-gateway/usage/providers/azureopenai/
    parent = "" if call.base_url.startswith(openai.GATEWAY) else "/openai/deployments"
    return openai.address(call.base_url, f"{parent}/{deployment}{path}") + f"?api-version={dated}"


def build(call: Call) -> Request:
    return openai.request_to(url(call), call, openai.body_of(call, refuses_usage=classic(call) and version(call) < USAGE_SINCE))


def sign(request: Request, call: Call) -> Request:
    """A resource key, or an Entra token, which is a JSON Web Token."""
    if (call.secret or call.key).startswith("eyJ"):
        request.headers["Authorization"] = f"Bearer {call.secret or call.key}"
    else:
        request.headers["api-key"] = call.key
    return request


def _models(reply: Reply, call: Call) -> list[str]:
    return [row["id"] for row in read(reply, call)["data"] if row.get("status", "succeeded") == "succeeded"]


# The last API version that lists a resource's deployments to its own key.
DEPLOYMENTS = ModelList(
    lambda call: Request(place(call, "/openai/deployments") + "?api-version=2022-12-01", method="GET"),
    _models,
)
# Not native for chat: the first chunk of a stream holds only the prompt's filter results, which clients trip over.
CHAT = Protocol(build, openai.parse, openai.stream)
PLAIN = Protocol(build, openai.parse, openai.stream, native=True)

FIELDS = (
    Field(
        "api_version", str, "", "API version",
        "For the classic address, such as 2024-10-21. Leave it empty for the v1 address. A client's own api-version wins.",
    ),
    Field("style", str, "", "Address", "Classic names the deployment in the address, v1 in the body. Empty: classic if there "
          "is an API version.", choices=("", "classic", "v1")),
    Field("remove_dots", bool, False, "Remove dots from deployment names",
          "Deployments could not hold dots once: gpt-3.5-turbo is then deployed as gpt-35-turbo."),
)  # fmt: skip

VENDORS = (
    Vendor(
        3, "azure", "Azure OpenAI",
        protocols={kind: CHAT if kind in ("chat", "completions") else PLAIN for kind in KINDS},
        sign=sign, fields=FIELDS, client_headers={"openai-beta": ()},
        key_label="Resource key or Entra token", model_list=DEPLOYMENTS, owned_by="azure",
        needs_base_url=True, documents="https://learn.microsoft.com/azure/ai-foundry/openai/reference",
    ),
)  # fmt: skip
