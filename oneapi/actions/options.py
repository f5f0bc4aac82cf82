"""Settings: checked as a whole before any of them is stored."""

from collections.abc import Mapping

from oneapi import mailbox, settings
from oneapi.actions import HIDDEN, Actor, act, record
from oneapi.fields import Invalid
from oneapi.messages import Refused
from oneapi.models import option
from oneapi.settings import Settings
from oneapi.state import State


def shown(state: State) -> list[tuple[str, str]]:
    """(key, text) of every setting that is no secret, stored or not."""
    with state.databases.transaction() as session:
        stored = option.all_rows(session)
    now = settings.read(stored, state.config.theme)
    return [(f.stored_as, f.text(getattr(now, f.name))) for f in settings.FIELDS if not f.secret]


def save(state: State, actor: Actor, values: Mapping[str, str]) -> None:
    """Store settings by key; raises Refused or Invalid by key, and then none is stored. Unchanged ones are left alone."""
    texts: dict[str, str] = {}
    errors: dict[str, str] = {}
    for key, value in values.items():
        if key not in settings.BY_KEY:
            raise Refused("unknown_option", field=key, key=key)
        try:
            texts[key] = settings.stored_text(key, value)
        except Invalid as error:
            if key == "Theme":
                raise Refused("theme", field=key) from None
            errors[key] = str(error)
    if errors:
        raise Invalid(errors)
    _store(state, actor, texts)


def _store(state: State, actor: Actor, texts: dict[str, str]) -> None:
    with act(state, "settings") as session:
        stored = option.all_rows(session)
        before, after = (settings.read(rows, state.config.theme) for rows in (stored, stored | texts))
        _check_whole(before, after)
        for key, text in texts.items():
            if stored.get(key) == text:
                continue
            option.put(session, key, text, now=int(state.clock()), by=actor.id)
            old = {} if key not in stored else {key: stored[key]}
            pair = ({key: ""}, {key: HIDDEN}) if settings.BY_KEY[key].secret else (old, {key: text})
            record(session, state, actor, "option.update", key, before=pair[0], after=pair[1])


# (the switch's key, what must be filled in before it goes on, the refusal)
NEEDS = (
    ("GitHubOAuthEnabled", lambda s: s.github_client_id, "github_incomplete"),
    ("OidcEnabled", lambda s: s.oidc_client_id and (s.oidc_well_known or _endpoints(s)), "oidc_incomplete"),
    ("EmailDomainRestrictionEnabled", lambda s: s.email_domain_whitelist.strip(), "domains_incomplete"),
    ("WeChatAuthEnabled", lambda s: s.wechat_server_address, "wechat_incomplete"),
    ("TurnstileCheckEnabled", lambda s: s.turnstile_site_key, "turnstile_incomplete"),
)


def _endpoints(now: Settings) -> bool:
    return bool(now.oidc_authorization_endpoint and now.oidc_token_endpoint and now.oidc_userinfo_endpoint)


def _check_whole(before: Settings, after: Settings) -> None:
    """A way in that is switched on must be able to work."""
    for key, filled, refusal in NEEDS:
        switch = settings.BY_KEY[key].name
        if getattr(after, switch) and not getattr(before, switch) and not filled(after):
            raise Refused(refusal, field=key)
    if _lacks_sender(after) and not _lacks_sender(before):
        raise Refused("sender_missing", field="SMTPFrom", account=after.smtp_account)


def _lacks_sender(now: Settings) -> bool:
    """Return True when mails could not be sent because neither the sender nor the account is an address."""
    return bool(now.smtp_server and now.smtp_account and not now.smtp_from and mailbox.sender(now.smtp_account) is None)
