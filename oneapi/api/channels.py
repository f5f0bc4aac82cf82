"""Channels: the accounts with vendors."""

from typing import Any

from flask import Response, request

from oneapi import access, jobs
from oneapi.actions import channels, unpriced
from oneapi.api import envelope, shapes
from oneapi.catalog import models as catalog
from oneapi.db import db
from oneapi.messages import Refused
from oneapi.models import channel
from oneapi.models.user import Role
from oneapi.relay import listing
from oneapi.wire import VendorError

routes = envelope.resource("channel", "/channel")

FIELDS: dict[str, type] = {
    "id": int, "type": int, "key": str, "status": int, "name": str, "weight": int, "base_url": str, "other": str, "models": str,
    "group": str, "model_mapping": str, "priority": int, "config": str, "system_prompt": str, "tag": str, "remark": str,
    "test_model": str, "parameters": str,
}  # fmt: skip
# In the answer when the channel has models without a price.
UNPRICED: dict[str, type] = {"unpriced_models": list, "unpriced_policy": str}
# Columns that 0 and "" change too; the others keep their value then, as they have always done.
CLEARABLE = {
    "weight",
    "base_url",
    "other",
    "model_mapping",
    "priority",
    "system_prompt",
    "tag",
    "remark",
    "test_model",
    "parameters",
}


@routes.route("/", allow=Role.ADMIN)
@envelope.says("[Channel]", query=("p", "page_size"))
def get_channels() -> Response:
    """Channels, newest first, without their keys."""
    page = envelope.page()
    rows, total = channel.page(db.session(), offset=page.offset, limit=page.limit)
    return envelope.listing(map(shapes.channel, rows), total)


@routes.route("/search", allow=Role.ADMIN)
@envelope.says("[Channel]", query=("keyword", "page_size"))
def search_channels() -> Response:
    """Channels by id or the beginning of their name."""
    rows, total = channel.page(db.session(), keyword=envelope.word("keyword"), limit=envelope.most_found())
    return envelope.listing(map(shapes.channel, rows), total)


@routes.route("/models", allow=Role.ADMIN)
@envelope.says(None)
def known_models() -> Response:
    """Every model of the catalogue, in OpenAI's shape and without the envelope."""
    return envelope.answer({"object": "list", "data": [listing.entry(name) for name in catalog.OWNERS]})


@routes.route("/<id>", allow=Role.ADMIN)
@envelope.says("Channel")
def get_channel(id: str) -> Response:
    """One channel, without its key."""
    return envelope.ok(shapes.channel(channel.get(db.session(), envelope.id_of(id))))


@routes.route("/", methods=["POST"], allow=Role.ADMIN)
@envelope.says("", takes=FIELDS, more=UNPRICED)
def create_channel() -> Response:
    """Add a channel for every line of the key."""
    ids = channels.create(access.state(), access.actor(), envelope.decode(FIELDS))
    return envelope.ok(**_unpriced(channel.get(db.session(), ids[0])))


@routes.route("/", methods=["PUT"], allow=Role.ADMIN)
@envelope.says("Channel", takes=FIELDS, more=UNPRICED)
def update_channel() -> Response:
    """Change a channel; the key is never answered."""
    given = envelope.decode(FIELDS)
    if not given.get("id"):
        raise Refused("id_missing", field="id")
    values = {name: value for name, value in given.items() if value or name in CLEARABLE}
    row = channels.update(access.state(), access.actor(), given["id"], values)
    return envelope.ok(shapes.channel(row), **_unpriced(row))


def _unpriced(row: channel.Channel) -> dict[str, Any]:
    """Return the models of a saved channel that have no price and what requests for them cost; nothing when all have one."""
    state = access.state()
    names = unpriced.of(state, row)
    return {"unpriced_models": names, "unpriced_policy": unpriced.policy(state, row)} if names else {}


@routes.route("/<id>", methods=["DELETE"], allow=Role.ADMIN)
@envelope.says("")
def delete_channel(id: str) -> Response:
    """Remove a channel."""
    channels.delete(access.state(), access.actor(), [envelope.id_of(id)])
    return envelope.ok()


@routes.route("/disabled", methods=["DELETE"], allow=Role.ADMIN)
@envelope.says("integer")
def delete_disabled() -> Response:
    """Remove all channels that are disabled, by hand or automatically; answers how many."""
    return envelope.ok(channels.delete_disabled(access.state(), access.actor()))


@routes.route("/test/<id>", methods=["GET", "POST"], allow=Role.ADMIN, changes=True)
@envelope.says("", query=("model", "kind", "stream"), more={"time": float, "modelName": str})
def test_channel(id: str) -> Response:
    """Test one channel with a small request."""
    asked = request.args
    stream = asked.get("stream", "") in ("1", "true")
    number, model, kind = envelope.id_of(id), envelope.word("model"), asked.get("kind", "")
    channel.get(db.session(), number)
    result = channels.test(access.state(), number, model=model, kind=kind, stream=stream)
    seconds = round(result.seconds, 3) if result.ok else 0
    return envelope.answer({"success": result.ok, "message": result.message, "time": seconds, "modelName": result.model})


@routes.route("/test", methods=["GET", "POST"], allow=Role.ADMIN, changes=True)
@envelope.says("", query=("scope",))
def test_channels() -> Response:
    """Start testing all channels, or with `scope=disabled` those that are disabled."""
    scope = "disabled" if request.args.get("scope") == "disabled" else "all"
    jobs.begin(access.state(), "channel-tests", by=access.actor(), scope=scope, asked=True)
    return envelope.ok()


@routes.route("/update_balance", methods=["GET", "POST"], allow=Role.ADMIN, changes=True)
@envelope.says("")
def update_balances() -> Response:
    """Start asking the vendors of all enabled channels what is left."""
    jobs.begin(access.state(), "balances", by=access.actor())
    return envelope.ok()


@routes.route("/update_balance/<id>", methods=["GET", "POST"], allow=Role.ADMIN, changes=True)
@envelope.says("", more={"balance": float})
def update_balance(id: str) -> Response:
    """Ask the vendor what is left on one channel's account."""
    try:
        left = channels.refresh_balance(access.state(), envelope.id_of(id))
    except VendorError as error:
        return envelope.answer({"success": False, "message": error.message or error.kind})
    return envelope.ok(balance=left)


@routes.route("/fetch_models/<id>", methods=["GET", "POST"], allow=Role.ADMIN, changes=True)
@envelope.says("[string]")
def fetch_models(id: str) -> Response:
    """The models that a channel's key can really use, asked from the vendor."""
    return envelope.ok(channels.fetch_models(access.state(), access.actor(), envelope.id_of(id)))
