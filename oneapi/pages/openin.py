"""Links that open a chat client with a key filled in: the old project's four and those of the site."""

import json
from urllib.parse import quote

from flask import request

from oneapi import access

NEXTCHAT, LOBE = "https://app.nextchat.dev", "https://lobehub.com"


def links(key: str) -> list[tuple[str, str]]:
    """(name, address) for one key. JSON travels encoded; without a server address this request's own is used."""
    settings = access.state().settings
    address = settings.server_address.rstrip("/")
    if not address or address == "http://localhost:3000":
        address = request.host_url.rstrip("/")
    chat = settings.chat_link.rstrip("/")
    bare = key.removeprefix("sk-")
    next_ = quote(json.dumps({"key": f"sk-{bare}", "url": address}, separators=(",", ":")), safe="")
    lobe = {"keyVaults": {"openai": {"apiKey": f"sk-{bare}", "baseURL": f"{address}/v1"}}}
    made = [
        ("NextChat", f"{chat or NEXTCHAT}/#/?settings={next_}"),
        ("LobeChat", f"{chat or LOBE}/?settings={quote(json.dumps(lobe, separators=(',', ':')), safe='')}"),
        ("OpenCat", f"opencat://team/join?domain={quote(address, safe='')}&token=sk-{bare}"),
        ("AMA / BotGem", f"ama://set-api-key?server={quote(address, safe='')}&key=sk-{bare}"),
    ]
    for name, template in settings.open_in_links.items():
        filled = (
            str(template)
            .replace("{key}", f"sk-{bare}")
            .replace("{address_enc}", quote(address, safe=""))
            .replace("{address}", address)
        )
        if filled.partition(":")[0].lower() not in ("javascript", "data", "vbscript"):
            made.append((str(name), filled))
    return made
