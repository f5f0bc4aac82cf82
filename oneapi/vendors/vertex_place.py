"""Where a Vertex AI channel works and how it proves who it is. No row lives here.

https://cloud.google.com/vertex-ai/docs/reference/rest#service-endpoint
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from oneapi.wire import Call, VendorError

Json = dict[str, Any]

KEY_PARTS = ("region", "vertex_ai_project_id", "vertex_ai_adc")


@dataclass(frozen=True)
class Account:
    """Where a channel works and how it proves it: a credential to exchange, or an API key ("express mode")."""

    region: str
    project: str
    credential: Mapping[str, Any]
    api_key: str


def account(call: Call) -> Account:
    """The channel's form fields, else the key typed as `Region|ProjectID|JSON`, as JSON alone or as an API key alone."""
    alone = call.key.strip() if "|" not in call.key or call.key.lstrip().startswith("{") else ""
    config = {name: "" if alone and call.config.get(name) == alone else call.config.get(name) or "" for name in KEY_PARTS}
    typed = config["vertex_ai_adc"] or alone
    credential = typed if isinstance(typed, dict) else _credential(str(typed))
    project = config["vertex_ai_project_id"] or credential.get("project_id") or credential.get("quota_project_id") or ""
    return Account(str(config["region"]) or "global", str(project), credential, "" if credential else str(typed))


def _credential(text: str) -> Json:
    if not text.lstrip().startswith("{"):
        return {}
    try:
        return dict(json.loads(text))
    except ValueError:
        raise VendorError("auth", "The channel's credentials are not valid JSON.") from None


def host(call: Call, region: str) -> str:
    """The channel's address, else that of the region, of all regions (global) or of many (us, eu)."""
    if call.base_url:
        return call.base_url.removesuffix("/v1").removesuffix("/v1beta1")
    if region == "global":
        return "https://aiplatform.googleapis.com"
    return (
        f"https://aiplatform.{region}.rep.googleapis.com"
        if region in ("us", "eu")
        else f"https://{region}-aiplatform.googleapis.com"
    )


def place(call: Call) -> str:
    """The address up to the channel's project and region, which express mode does without."""
    where = account(call)
    root = f"{host(call, where.region)}/v1"
    if where.project:
        return f"{root}/projects/{quote(where.project, safe=':')}/locations/{where.region}"
    if where.credential:
        raise VendorError("auth", "The channel names no Google Cloud project, and neither do its credentials.")
    return root
