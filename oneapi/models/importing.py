"""Copy users, API keys, channels, redemption codes, options and logs out of a database of one-api, new-api or one-hub."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine, func, inspect, select, text
from sqlalchemy.orm import Session

from oneapi.models import ability, dsn, ledger, option, origin, version
from oneapi.models.channel import Channel
from oneapi.models.channel import Status as ChannelStatus
from oneapi.models.log import Log
from oneapi.models.redemption import Redemption
from oneapi.models.token import Token
from oneapi.models.user import MOST_QUOTA, User
from oneapi.models.user import Status as UserStatus

PROJECTS = ("one-api", "new-api", "one-hub")
CUSTOM, COMPATIBLE, AWS, GOOGLE_CLOUD = 8, 50, 33, 42
# Channel types of the other projects by their numbers, as in constant/channel.go of QuantumNous/new-api and
# common/config/constants.go of MartialBE/one-hub; numbers that mean the same here are in SAME.
SAME = {"new-api": {1, 3, *range(6, 26), 31, 33}, "one-hub": set(range(1, 24))}
TYPES = {
    "new-api": {4: 30, 26: 16, 27: 50, 34: 35, 35: 27, 38: 50, 39: 37, 40: 44, 41: 42, 42: 28, 43: 36, 45: 40, 46: 47, 47: 50,
                48: 45, 49: 34, 53: 50, 56: 46},
    "one-hub": {25: 24, 26: 26, 27: 27, 28: 36, 29: 25, 30: 28, 31: 29, 32: 33, 33: 31, 35: 37, 36: 35, 38: 34, 39: 30, 40: 23,
                42: 42, 45: 44, 47: 50},
}  # fmt: skip
# Where those lead that are served as "OpenAI compatible" here.
ADDRESSES = {
    ("new-api", 27): "https://api.perplexity.ai", ("new-api", 38): "https://api.jina.ai/v1",
    ("new-api", 53): "https://llm.submodel.ai/v1", ("one-hub", 47): "https://api.jina.ai/v1",
}  # fmt: skip
LONGEST_KEY, LONGEST_CODE, BATCH = 48, 32, 1000


class Import:
    """One run. `counts` is by (table, what became of a row); nothing is committed here."""

    def __init__(self, session: Session, source: Engine, project: str, *, now: int, hash_of: Callable[[str], str]):
        self.session, self.source, self.project, self.now, self.hash_of = session, source, project, now, hash_of
        self.counts: Counter[tuple[str, str]] = Counter()
        self.owners: dict[int, int] = {}  # ids of users there and here
        self.channels: dict[int, int] = {}
        self._new: list[User] = []

    def run(self, known: set[str], *, logs: Session | None = None) -> list[str]:
        """Copy everything; returns a line for each kind of outcome. `known` are the options that exist here."""
        for each in (self._users, self._tokens, self._channels, self._redemptions):
            each()
        self._options(known)
        if logs is not None:
            self._logs(logs)
        ledger.open_accounts(self.session, now=self.now)
        for topic in version.TOPICS:
            version.bump(self.session, topic)
        return [f"{table}: {count} {what}" for (table, what), count in sorted(self.counts.items())]

    def _rows(self, table: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table that are not deleted, each by the names of its columns."""
        with self.source.connect() as connection:
            if not inspect(connection).has_table(table):
                return
            for row in connection.execution_options(yield_per=BATCH).execute(text(f"SELECT * FROM {table}")).mappings():  # noqa: S608
                if row.get("deleted_at"):
                    self.counts[table, "skipped: deleted there"] += 1
                else:
                    yield dict(row)

    def _free(self, model: Any, id: int) -> dict[str, int]:
        return {"id": id} if self.session.get(model, id) is None else {}

    def _users(self) -> None:
        unused = self.session.scalar(select(func.count()).select_from(User)) == 1
        first = self.session.scalar(select(User).limit(1)) if unused else None
        for row in self._rows("users"):
            name = row.get("username")
            if not name or row.get("status") == UserStatus.DELETED:
                self.counts["users", "skipped: deleted there"] += 1
                continue
            here = self.session.scalar(select(User).where(User.username == name))
            if row.get("role") == 100 and first is not None and first.must_change_password and here in (None, first):
                self._replace(first, row)  # the root of a first start, whom nobody has used yet
            elif here is not None:
                self.owners[row["id"]] = here.id
                self.counts["users", "are here already"] += 1
            else:
                made = User(**self._free(User, row["id"]), **self._person(row), quota=min(row.get("quota") or 0, MOST_QUOTA))
                self.session.add(made)
                self.session.flush()
                self.owners[row["id"]] = made.id
                self._new.append(made)
                self.counts["users", "imported"] += 1
        for made in self._new:
            made.inviter_id = self.owners.get(made.inviter_id or 0, made.inviter_id)
        self.session.flush()

    def _replace(self, root: User, row: dict[str, Any]) -> None:
        for name, value in self._person(row).items():
            setattr(root, name, value)
        root.must_change_password = None  # looked at again at the next start
        self.session.flush()
        quota = max(0, min(row.get("quota") or 0, MOST_QUOTA))
        ledger.set_balance(self.session, root.id, quota, now=self.now, actor=0, note="import")
        self.owners[row["id"]] = root.id
        self.counts["users", "imported in place of the unused root"] += 1

    def _person(self, row: dict[str, Any]) -> dict[str, Any]:
        kept = ("username", "password", "display_name", "role", "status", "used_quota", "request_count", "group", "inviter_id")
        person = {name: row[name] for name in kept if row.get(name) is not None}
        once = ("email", "github_id", "wechat_id", "lark_id", "oidc_id", "aff_code")
        person |= {name: row[name] for name in once if row.get(name)}
        if "email" in person:
            person["email"] = person["email"].strip().lower()
        if person.get("aff_code") and self.session.scalar(select(User.id).where(User.aff_code == person["aff_code"])):
            del person["aff_code"]
        if clear := (row.get("access_token") or "").strip():
            person["access_token_hash"] = self.hash_of(clear)
        return person

    def _tokens(self) -> None:
        for row in self._rows("tokens"):
            key = str(row.get("key") or "").strip().removeprefix("sk-")
            if row.get("user_id") not in self.owners:
                self.counts["tokens", "skipped: their user is not imported"] += 1
            elif not key or len(key) > LONGEST_KEY:
                self.counts["tokens", f"skipped: a key has 1 to {LONGEST_KEY} characters here; make new ones"] += 1
            elif self.session.scalar(select(Token.id).where(Token.key == key)):
                self.counts["tokens", "are here already"] += 1
            else:
                kept = ("status", "name", "created_time", "accessed_time", "expired_time", "remain_quota", "used_quota")
                values = {name: row[name] for name in kept if row.get(name) is not None}
                models, subnet = self._limits(row)
                made = Token(
                    **self._free(Token, row["id"]), **values, key=key, user_id=self.owners[row["user_id"]], models=models,
                    subnet=subnet, unlimited_quota=bool(row.get("unlimited_quota")),
                )  # fmt: skip
                self.session.add(made)
                self.session.flush()
                self.counts["tokens", "imported"] += 1

    def _limits(self, row: dict[str, Any]) -> tuple[str | None, str]:
        """Return the models and networks that an API key is limited to."""
        if self.project == "one-api":
            return row.get("models"), row.get("subnet") or ""
        if self.project == "new-api":
            ips = ",".join(part.strip(" ,") for part in (row.get("allow_ips") or "").splitlines() if part.strip(" ,"))
            return (row.get("model_limits") if row.get("model_limits_enabled") else None), ips
        limits = _object(row.get("setting")).get("limits") or {}
        models, networks = limits.get("limit_model_setting") or {}, limits.get("limits_ip_setting") or {}
        listed = ",".join(models.get("models") or []) if models.get("enabled") else None
        return listed, ",".join(networks.get("whitelist") or []) if networks.get("enabled") else ""

    def _channels(self) -> None:
        present = {(c.name, c.plain_key()): c.id for c in self.session.scalars(select(Channel))}
        for row in self._rows("channels"):
            same = (row.get("name"), row.get("key") or "")
            if same in present:
                self.channels[row["id"]] = present[same]
                self.counts["channels", "are here already"] += 1
                continue
            made = Channel(**self._free(Channel, row["id"]), **self._account(row))
            self.session.add(made)
            self.session.flush()
            ability.rebuild(self.session, [made])
            self.channels[row["id"]] = made.id
            self.counts["channels", "imported"] += 1

    def _account(self, row: dict[str, Any]) -> dict[str, Any]:
        kept: tuple[str, ...] = (
            "key", "status", "name", "weight", "created_time", "test_time", "response_time", "base_url", "other", "balance",
            "models", "group", "used_quota", "model_mapping", "priority", "tag", "remark", "test_model",
        )  # fmt: skip
        if self.project == "one-api":
            kept = (*kept, "config", "system_prompt", "parameters")
        values = {name: row[name] for name in kept if row.get(name) is not None}
        was = int(row.get("type") or 0)
        type = was if self.project == "one-api" or was in SAME[self.project] else TYPES[self.project].get(was)
        if type is None:
            reason = f"The channel type {was} of {self.project} does not exist here. Choose a type, then enable it."
            self.counts["channels", f"of these disabled: type {was} of {self.project} does not exist here"] += 1
            return values | {"type": CUSTOM, "status": ChannelStatus.DISABLED, "status_reason": reason, "status_time": self.now}
        if type == COMPATIBLE and self.project != "one-api":
            base = (row.get("base_url") or "").rstrip("/")
            at_v1 = base if not base or base.endswith("/v1") else f"{base}/v1"
            values["base_url"] = at_v1 or ADDRESSES.get((self.project, was))
        return values | {"type": type} | self._credentials(type, row)

    def _credentials(self, type: int, row: dict[str, Any]) -> dict[str, Any]:
        """Return what the other projects keep in the key and the field other, and we in config."""
        key = row.get("key") or ""
        if self.project == "one-api":
            return {}
        if type == AWS and key.count("|") == 2:
            ak, sk, region = key.split("|")
            return {"config": json.dumps({"ak": ak, "sk": sk, "region": region}), "key": key}
        if type == GOOGLE_CLOUD and (account := _object(key)):
            region = _object(row.get("other")).get("default") or row.get("other") or ""
            values = {"region": region, "vertex_ai_project_id": account.get("project_id", ""), "vertex_ai_adc": key}
            return {"config": json.dumps(values)}
        return {}

    def _redemptions(self) -> None:
        for row in self._rows("redemptions"):
            key = str(row.get("key") or "").strip()
            if not key or len(key) > LONGEST_CODE:
                self.counts["redemptions", f"skipped: a code has 1 to {LONGEST_CODE} characters here"] += 1
            elif self.session.scalar(select(Redemption.id).where(Redemption.key == key)):
                self.counts["redemptions", "are here already"] += 1
            else:
                kept = ("status", "name", "quota", "created_time", "redeemed_time", "expired_time")
                values = {name: row[name] for name in kept if row.get(name) is not None}
                by = self.owners.get(row.get("used_user_id") or row.get("redeemed_by") or 0)
                owner = self.owners.get(row.get("user_id") or 0)
                free = self._free(Redemption, row["id"])
                self.session.add(Redemption(**free, **values, key=key, user_id=owner, redeemed_by=by))
                self.session.flush()
                self.counts["redemptions", "imported"] += 1

    def _options(self, known: set[str]) -> None:
        stored = option.all_rows(self.session)
        for row in self._rows("options"):
            key = row.get("key") or ""
            if key not in known:
                self.counts["options", "skipped: no such setting here"] += 1
            elif key in stored:
                self.counts["options", "are here already"] += 1
            else:
                option.put(self.session, key, row.get("value") or "", now=self.now, by=0)
                self.counts["options", "imported"] += 1

    def _logs(self, logs: Session) -> None:
        for row in self._rows("logs"):
            if logs.get(Log, row["id"]) is not None:
                self.counts["logs", "are here already"] += 1
                continue
            values = {name: row[name] for name in (column.name for column in Log.__table__.columns) if row.get(name) is not None}
            values["user_id"] = self.owners.get(row.get("user_id") or 0, 0)
            values["channel_id"] = self.channels.get(row.get("channel_id") or 0, row.get("channel_id"))
            if row.get("use_time") and "elapsed_time" not in values:
                values["elapsed_time"] = int(row["use_time"]) * 1000
            logs.add(Log(**values))
            self.counts["logs", "imported"] += 1
            if self.counts["logs", "imported"] % BATCH == 0:
                logs.flush()
                logs.expunge_all()


def _object(text: Any) -> dict[str, Any]:
    """Return a JSON object that a driver has or has not read already."""
    try:
        value = json.loads(text) if isinstance(text, str | bytes) else text
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def opened(source: str) -> Engine:
    """Return an engine for a SQLite file or a data source name in any form; SQLite is opened for reading only. Raises Invalid."""
    if Path(source).is_file():
        return origin.reading(source)
    at = dsn.url(source, sqlite_path="", name="DSN")
    return origin.reading(str(at.database)) if at.get_backend_name() == "sqlite" else create_engine(at, poolclass=NullPool)
