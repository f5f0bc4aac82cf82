"""Settings by section, each saved as a whole; every one is a Field, so the forms follow from the table."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, abort, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from oneapi import access, guarded, notify, settings
from oneapi.access import actor
from oneapi.actions import options
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.fields import Field, Invalid
from oneapi.messages import Refused
from oneapi.models import browse, option
from oneapi.models.user import Role
from oneapi.pages import channel_input, complaints, languages, prose
from oneapi.pages.render import allow, done, page, toast

bp = GuardedBlueprint("settings", __name__)


@dataclass(frozen=True)
class Section:
    slug: str
    title: Any
    icon: str
    keys: tuple[str, ...]


SECTIONS = (
    Section(
        "general",
        lazy_gettext("General"),
        "settings",
        (
            "SystemName",
            "Logo",
            "ServerAddress",
            "TopUpLink",
            "ChatLink",
            "OpenInLinks",
            "QuotaPerUnit",
            "DisplayInCurrencyEnabled",
            "DisplayTokenStatEnabled",
            "Theme",
            "ThemeAccent",
            "ThemeRadius",
            "ThemeFont",
        ),
    ),
    Section("content", lazy_gettext("Content"), "file-text", ("Notice", "HomePageContent", "About", "Footer")),
    Section(
        "quota",
        lazy_gettext("Quota"),
        "coin",
        (
            "QuotaForNewUser",
            "QuotaForInviter",
            "QuotaForInvitee",
            "PreConsumedQuota",
            "QuotaRemindThreshold",
            "UnknownModelPolicy",
            "QuotaRefusedWith403Enabled",
            "ToolPrice",
            "TierRatio",
        ),
    ),
    Section("limits", lazy_gettext("Limits"), "gauge", ("UserRequestsPerMinute", "UserTokensPerMinute", "UserConcurrency")),
    Section(
        "monitoring",
        lazy_gettext("Routing and monitoring"),
        "heart-rate-monitor",
        (
            "RetryTimes",
            "CooldownSeconds",
            "ChannelDisableThreshold",
            "AutomaticDisableChannelEnabled",
            "AutomaticEnableChannelEnabled",
            "ChannelBalanceThreshold",
            "ApproximateTokenEnabled",
            "PrivateNetworksEnabled",
            "UserAddressPorts",
            "ClientHeaders",
        ),
    ),
    Section("logs", lazy_gettext("Logs"), "list-search", ("LogConsumeEnabled", "LogRetentionDays")),
    Section(
        "sign-in",
        lazy_gettext("Sign-in"),
        "login",
        ("PasswordLoginEnabled", "PasswordRegisterEnabled", "RegisterEnabled", "EmailVerificationEnabled")
        + ("EmailDomainRestrictionEnabled", "EmailDomainWhitelist", "SelfDeletionEnabled"),
    ),
    Section(
        "email",
        lazy_gettext("E-mail"),
        "mail",
        ("SMTPServer", "SMTPPort", "SMTPSecurity", "SMTPAccount", "SMTPFrom", "SMTPToken", "SMTPCertificateCheck"),
    ),
    Section(
        "github",
        "GitHub",
        "brand-github",
        ("GitHubOAuthEnabled", "GitHubClientId", "GitHubClientSecret", "GitHubBaseUrl", "GitHubApiUrl"),
    ),
    Section(
        "lark",
        lazy_gettext("Feishu"),
        "send",
        ("LarkClientId", "LarkClientSecret", "LarkAccountsUrl", "LarkOpenUrl", "LarkPassportUrl"),
    ),
    Section(
        "oidc",
        "OIDC",
        "shield-check",
        (
            "OidcEnabled",
            "OidcClientId",
            "OidcClientSecret",
            "OidcWellKnown",
            "OidcAuthorizationEndpoint",
            "OidcTokenEndpoint",
            "OidcUserinfoEndpoint",
            "OidcHmacSignatures",
            "OidcUserinfoOnly",
        ),
    ),
    Section(
        "wechat",
        lazy_gettext("WeChat"),
        "qrcode",
        ("WeChatAuthEnabled", "WeChatServerAddress", "WeChatServerToken", "WeChatAccountQRCodeImageURL"),
    ),
    Section(
        "turnstile",
        "Turnstile",
        "robot",
        ("TurnstileCheckEnabled", "TurnstileSiteKey", "TurnstileSecretKey", "TurnstileVerifyUrl"),
    ),
    Section(
        "notices", lazy_gettext("Notices"), "bell", ("MessagePusherAddress", "MessagePusherToken", "WebhookUrl", "WebhookSecret")
    ),
)
BY_SLUG = {section.slug: section for section in SECTIONS}
ELSEWHERE = {
    "/price": (
        "ModelRatio", "CompletionRatio", "CacheRatio", "CacheWriteRatio", "LongCacheWriteRatio", "AudioRatio", "ImageRatio",
        "CallPrice",
    ),
    "/group": ("GroupRatio", "GroupLimits"),
}  # fmt: skip
TRIED = {"mail": "email", "push": "notices", "webhook": "notices", "oidc": "oidc"}  # what can be tried: where it is set
CALLBACKS = ("github", "lark", "oidc")
DANGEROUS = {"PasswordLoginEnabled": lazy_gettext("People without another way to sign in are locked out.")}
REMOTE_IMAGES = "https:"
COMMA_LISTS = ("EmailDomainWhitelist",)  # written one a line, stored with commas


@bp.route("/setting", allow=Role.ROOT)
def index() -> Response:
    wish = request.args.get("q", "").strip().lower()
    if wish:
        found = [
            f for f in settings.FIELDS if wish in f"{f.label} {_(f.label)} {f.stored_as} {_(f.help) if f.help else ''}".lower()
        ]
        return _show(Section("", _("Search"), "search", tuple(f.stored_as for f in found)), q=wish)
    return done("/setting/general")


@bp.route("/setting/<slug>", allow=Role.ROOT)
def section(slug: str) -> Response:
    return _show(BY_SLUG.get(slug) or abort(404))


def _show(shown: Section, errors: Mapping[str, str] | None = None, *, q: str = "") -> Response:
    now = access.state().settings
    stored = option.of_keys(db.session(), shown.keys)
    last = max(stored, key=lambda row: row.updated_at or 0, default=None)
    who = browse.usernames(db.session(), [last.updated_by]) if last is not None and last.updated_by else {}
    fields = [settings.BY_KEY[key] for key in shown.keys]
    if any(field.multiline for field in fields):
        allow("img-src", REMOTE_IMAGES)  # previews show pictures as the pages do
    return page(
        "settings/index.html",
        "list",
        status=422 if errors else 200,
        sections=SECTIONS,
        section=shown,
        fields=fields,
        q=q,
        values={f.stored_as: _value(f, getattr(now, f.name), bool(errors)) for f in fields},
        errors=errors or {},
        dangerous=DANGEROUS,
        elsewhere={key: path for path, keys in ELSEWHERE.items() for key in keys},
        callbacks=CALLBACKS,
        comma_lists=COMMA_LISTS,
        section_of={key: s for s in SECTIONS for key in s.keys},
        visited=request.host_url.rstrip("/"),
        unit=now.quota_per_unit,
        hints={f.stored_as: _hint(getattr(now, f.name)) for f in fields if f.secret},
        last=last,
        who=who,
        framed=prose.framed,
        rendered=prose.html,
    )


def _hint(secret: str) -> str:
    return _("set, ends in %(end)s", end=secret[-4:]) if len(secret) > 8 else _("set") if secret else ""


def _value(field: Field, value: Any, typed: bool) -> Any:
    """What a field shows: what was typed after a complaint, else what is in force; never a secret."""
    if field.secret:
        return ""
    if typed:
        return (
            bool(request.form.get(field.stored_as))
            if field.type is bool
            else request.form.get(field.stored_as, field.text(value))
        )
    if field.type is dict:
        return json.dumps(value, ensure_ascii=False, indent=1) if value else ""
    return value if field.type is bool else field.text(int(value) if field.type is float and value == int(value) else value)


@bp.route("/setting/<slug>", methods=["POST"], allow=Role.ROOT)
def save(slug: str) -> Response:
    if slug == "search":
        keys = tuple(key for key in request.form.get("keys", "").split(",") if key in settings.BY_KEY)
        shown = Section("", _("Search"), "search", keys)
    else:
        shown = BY_SLUG.get(slug) or abort(404)
    errors = store(settings.BY_KEY[key] for key in shown.keys)
    if errors:
        return _show(shown, errors, q=request.form.get("q", ""))
    toast(_("%(section)s saved", section=shown.title))
    return done(f"/setting/{slug}" if slug != "search" else f"/setting?q={request.form.get('q', '')}")


def store(fields: Iterable[Field]) -> dict[str, str]:
    """Store what a form says of these fields; complaints by key. An empty secret stays as it is."""
    form, values, errors = request.form, dict[str, str](), dict[str, str]()
    for field in fields:
        if field.type is bool:
            values[field.stored_as] = "true" if form.get(field.stored_as) else "false"
        elif field.stored_as not in form or (field.secret and not form[field.stored_as]):
            continue
        elif field.type is dict and (complaint := channel_input.json_complaint(form[field.stored_as])):
            errors[field.stored_as] = complaint
        elif field.stored_as in COMMA_LISTS:
            values[field.stored_as] = ",".join(complaints.lines(form[field.stored_as]))
        else:
            values[field.stored_as] = form[field.stored_as].strip() or ("{}" if field.type is dict else "")
    if not errors:
        try:
            options.save(access.state(), actor(), values)
        except (Refused, Invalid) as error:
            errors = complaints.of(error)
    return errors


@bp.route("/setting/preview", methods=["POST"], allow=Role.ROOT)
def preview() -> Response:
    """A text as its page will show it."""
    key, text = next(((k, v) for k, v in request.form.items() if k in BY_SLUG["content"].keys), ("", ""))
    if not key:
        abort(400)
    return page("settings/preview.html", key=key, field=settings.BY_KEY[key], text=text, framed=prose.framed, rendered=prose.html)


@bp.route("/setting/try/<what>", methods=["POST"], allow=Role.ROOT, critical=True)
def attempt(what: str) -> Response:
    """Try what is saved: a mail to oneself, a push, a webhook, or OIDC's discovery."""
    state = access.state()
    if what not in TRIED:
        abort(404)
    try:
        if what == "oidc":
            _discover()
        else:
            to = notify.send_test(state, what, request.form.get("to", "").strip(), languages.html_language())
            toast(_("A mail was sent to %(to)s", to=to) if what == "mail" else _("The message was handed over"))
    except (notify.MailError, guarded.FetchError, ValueError) as error:
        toast(_("That failed: %(error)s", error=error), "bad")
    return done(f"/setting/{TRIED[what]}")


def _discover() -> None:
    """Fill the endpoints in from the discovery document."""
    where = request.form.get("OidcWellKnown", "").strip() or access.state().settings.oidc_well_known
    found = json.loads(guarded.get(where, timeout=5.0, max_bytes=2**20, allow_private=True).body)
    names = {
        "OidcAuthorizationEndpoint": "authorization_endpoint",
        "OidcTokenEndpoint": "token_endpoint",
        "OidcUserinfoEndpoint": "userinfo_endpoint",
    }
    options.save(
        access.state(), actor(), {"OidcWellKnown": where} | {key: str(found.get(name, "")) for key, name in names.items()}
    )
    toast(_("The endpoints were filled in"))
