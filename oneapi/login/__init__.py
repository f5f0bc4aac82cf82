"""Signing in through others: leaving for a provider, coming back, and what becomes of it (sign-in, account, binding)."""

import json
import logging
import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from oneapi.actions import Actor, accounts, act, record
from oneapi.actions.mails import email_of
from oneapi.db import Session
from oneapi.login import github, lark, oidc, wechat
from oneapi.login.contract import Flow, Profile, Provider, Trouble, new_flow
from oneapi.messages import Refused
from oneapi.models import account, code, user, version
from oneapi.models.user import Status, User
from oneapi.settings import Settings
from oneapi.state import State

log = logging.getLogger(__name__)

PROVIDERS: dict[str, Provider] = {module.PROVIDER.name: module.PROVIDER for module in (github, oidc, lark, wechat)}
SECONDS = 600  # from leaving to coming back
KEY, MOST_OPEN = "oauth", 5  # the states that a session has, one for each tab
LONGEST_IDENTITY = 191  # characters, as wide as the columns
Visit = MutableMapping[str, Any]  # the session of a browser
USERNAME = re.compile(r"[\w.@-]{1,12}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: whose session may begin, or who was `bound`; `next` is where the person wanted to go."""

    row: User
    bound: bool = False
    next: str = ""


def enabled(now: Settings) -> list[Provider]:
    """The providers that are switched on, in the order of their buttons."""
    return [provider for provider in PROVIDERS.values() if provider.offered(now)]


def find(state: State, name: str) -> Provider:
    """The provider of this name; raises Refused when there is none or it is switched off."""
    provider = PROVIDERS.get(name)
    if provider is None:
        raise Refused("not_found")
    if not provider.offered(state.settings):
        raise refused(provider, "off")
    return provider


def refused(provider: Provider, kind: str, **values: Any) -> Refused:
    """The refusal for a kind of trouble, in this provider's words."""
    said = "bad_code" if kind == "code" else provider.refusals.get(kind, f"provider_{kind}")
    return Refused(said, provider=provider.title, provider_zh=provider.title_zh, **values)


# Leaving and coming back


def begin(state: State, session: Visit, name: str, *, next: str = "", aff_code: str = "") -> str:
    """Where to send the browser that has this session; raises Refused. `next` is a path of ours to return to in the end."""
    provider = find(state, name)
    if provider.address is None:
        raise Refused("invalid_parameter")
    flow = new_flow(next=next if _ours(next) else "", aff_code=aff_code[:32])
    with _speaking(provider):
        where = provider.address(state, flow)
    _keep(state, session, provider.name, flow)
    return where


def new_state(state: State, session: Visit) -> str:
    """A state for whoever leads the browser to a provider by themselves; good for one return."""
    flow = Flow(new_flow().state)
    _keep(state, session, "", flow)
    return flow.state


def _ours(path: str) -> bool:
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()


def _keep(state: State, session: Visit, name: str, flow: Flow) -> None:
    """The session says which browser it is, the database that it comes back once: a cookie can be sent again and again."""
    data = json.dumps({"provider": name, "flow": asdict(flow)})
    with act(state) as db:
        code.issue(db, "oauth", flow.state, flow.state, expires_at=int(state.clock()) + SECONDS, data=data)
    session[KEY] = [*_open(session), flow.state][-MOST_OPEN:]


def _open(session: Visit) -> list[str]:
    return list(session.get(KEY) or ())


def _returned(state: State, session: Visit, provider: Provider, given: str) -> Flow:
    """The sign-in that a state stands for; raises Refused unless this browser began it and it comes back for the first time."""
    if given not in _open(session):
        raise Refused("state_differs")
    session[KEY] = [each for each in _open(session) if each != given]
    with act(state) as db:
        data = code.take(db, "oauth", given, given, now=int(state.clock()))
    if not data:
        raise Refused("state_differs")
    kept = json.loads(data)
    if kept["provider"] not in ("", provider.name):
        raise Refused("state_differs")
    return Flow(**kept["flow"])


def finish(state: State, session: Visit, actor: Actor, name: str, args: Mapping[str, str], *, typed: bool = False) -> Outcome:
    """Take in somebody who comes back with `args`: sign in or open an account, or bind it to the actor who is signed in.

    Raises Refused. The caller begins the session of `Outcome.row` unless it was a binding. `typed` says that the person typed
    the code into a form of ours: without a state nothing else proves that it is not somebody else's code in a link.
    """
    provider = PROVIDERS.get(name)
    if provider is None:
        raise Refused("not_found")
    if not typed and provider.address is None:
        raise Refused("state_differs")
    flow = _returned(state, session, provider, args.get("state", "")) if provider.address else Flow()
    find(state, name)
    if args.get("error"):
        raise refused(provider, "refused", error=str(args.get("error_description") or args["error"])[:200])
    if not args.get("code"):
        raise Refused("invalid_parameter", field="code")
    with _speaking(provider):
        profile = provider.identify(state, args, flow)
        if len(profile.identity) > LONGEST_IDENTITY:
            raise Trouble("odd", "the identity is too long")
    if actor.id:
        return Outcome(_bind(state, actor, provider, profile), True, flow.next)
    return Outcome(_enter(state, actor, provider, profile, flow), False, flow.next)


@contextmanager
def _speaking(provider: Provider) -> Iterator[None]:
    try:
        yield
    except Trouble as trouble:
        log.warning("sign-in through %s: %s: %s", provider.name, trouble.kind, trouble.detail)
        raise refused(provider, trouble.kind, error=trouble.detail) from trouble


# Accounts


def _enter(state: State, actor: Actor, provider: Provider, profile: Profile, flow: Flow) -> User:
    with act(state, "users", "tokens") as session:
        version.bump(session, "users")  # a lock: the same person may come back twice at once
        row = _owner(session, provider, profile) or _register(session, state, actor, provider, profile, flow)
        if row.status != Status.ENABLED:
            raise Refused("banned")
    return row


def _owner(session: Session, provider: Provider, profile: Profile, *, actor_id: int = 0) -> User | None:
    """The account of an identity. One that the old project kept by a login name gets its lasting identity now, once.

    A login name can be renamed and taken by somebody else, so that the name alone proves nothing: the owner is signed in to the
    account already, or the provider vouches for the e-mail address of the account. Raises Refused otherwise.
    """
    row = account.by_identity(session, provider.column, profile.identity)
    if row is not None or not provider.legacy:
        return row
    row = account.by_identity(session, provider.legacy, profile.login)
    if row is None or getattr(row, provider.column):
        return None
    if actor_id and row.id != actor_id:
        return row  # bound to somebody else
    if not actor_id and (not row.email or _email(profile) != row.email.lower()):
        raise refused(provider, "known_by_name")
    account.bind(session, row.id, **provider.columns(profile))
    session.refresh(row)
    return row


def _register(
    session: Session, state: State, actor: Actor, provider: Provider, profile: Profile, flow: Flow
) -> User:  # fmt: skip
    if not state.settings.register_enabled:
        raise Refused("register_off")
    email = _email(profile)
    if email and account.email_taken(session, email):
        raise refused(provider, "email_taken")
    display = (profile.name or provider.stranger)[: accounts.LONGEST_DISPLAY_NAME]
    inviter = account.by_aff_code(session, flow.aff_code)
    for username in _usernames(session, provider, profile):
        row = User(
            username=username, display_name=display, password="", email=email or None, email_verified=bool(email),
            **provider.columns(profile),
        )  # fmt: skip
        if accounts.open_account(session, state, row, inviter=inviter, ip=actor.ip):
            return row
    raise Refused("username_taken")


def _email(profile: Profile) -> str:
    try:
        return email_of(profile.email) if profile.email else ""
    except Refused:  # longer, or stranger, than we keep them
        return ""


def _usernames(session: Session, provider: Provider, profile: Profile) -> Iterator[str]:
    """The name somebody has there, if it is one here and free; then numbered ones."""
    if USERNAME.fullmatch(profile.username) and account.by_username(session, profile.username) is None:
        yield profile.username
    number = account.next_number(session)
    yield from (f"{provider.name}_{number + more}" for more in range(20))


def _bind(state: State, actor: Actor, provider: Provider, profile: Profile) -> User:
    with act(state, "users") as session:
        version.bump(session, "users")
        owner = _owner(session, provider, profile, actor_id=actor.id)
        if owner is not None and owner.id != actor.id:
            raise refused(provider, "bound")
        row = _mine(session, actor)
        columns = provider.columns(profile)
        before = {name: getattr(row, name) for name in columns}
        account.bind(session, row.id, **columns)
        session.refresh(row)
        record(session, state, actor, "user.bind", row.id, before=before, after=columns)
    return row


def _mine(session: Session, actor: Actor) -> User:
    row = user.get(session, actor.id)
    if row is None:
        raise Refused("user_missing")
    return row


def unbind(state: State, actor: Actor, name: str) -> None:
    """Forget who the actor is at a provider; raises Refused when nothing else would let them in again."""
    provider = PROVIDERS.get(name)
    if provider is None:
        raise Refused("not_found")
    with act(state, "users") as session:
        row = _mine(session, actor)
        before = {column: getattr(row, column) for column in provider.nothing}
        others = [p for p in enabled(state.settings) if p is not provider and bound(row, p)]
        if not others and not (row.password and state.settings.password_login_enabled):
            raise Refused("last_way_in")
        account.bind(session, row.id, **provider.nothing)
        record(session, state, actor, "user.unbind", row.id, before=before, after=provider.nothing)


def bound(row: User, provider: Provider) -> bool:
    """Whether an account can be entered through a provider."""
    return bool(getattr(row, provider.column) or (provider.legacy and getattr(row, provider.legacy)))
