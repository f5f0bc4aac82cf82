"""Every run-time setting, one Field each. Keys are those of the old project's options; storage is the options table."""

import json
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from types import SimpleNamespace
from typing import Any

from oneapi import mailbox
from oneapi.fields import MOST, Field, Invalid, address, at_least, between, names, parsed
from oneapi.vendors import client_headers

log = logging.getLogger(__name__)

NOT_FINITE = (float("inf"), float("-inf"))
LARGEST_RATIO = 10**9  # products of all of them and of a request's tokens stay finite
GROUP_RATIO = {"default": 1, "vip": 1, "svip": 1}


def ratios(value: dict[str, Any]) -> str | None:
    """A check for tables of name → number."""
    for name, number in value.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or number in NOT_FINITE or number != number:
            return f"the value of {name!r} must be a number."
        if number < 0:
            return f"the value of {name!r} must not be negative."
        if number > LARGEST_RATIO:
            return f"the value of {name!r} must not exceed {LARGEST_RATIO}."
    return None


def _ports(value: str) -> str | None:
    for part in names(value):
        if not part.isascii() or not part.isdecimal() or not 0 < int(part[:9]) < 65536:
            return f"{part!r} is not a port; give numbers from 1 to 65535 with commas between."
    return None


def _one_line(value: str) -> str | None:
    return None if value.isprintable() else "give one line without control characters."


def _credential(value: str) -> str | None:
    return None if not set(value) & set("\0\r\n") else "line breaks and NUL characters are not allowed."


def _sender(value: str) -> str | None:
    if not value.strip() or mailbox.sender(value):
        return None
    return f"{value!r} is not an e-mail address; give noreply@example.com, or One API <noreply@example.com>."


def _mail_host(value: str) -> str | None:
    host = value.strip()
    if not host.isprintable() or set(host) & set("/@ ") or (":" in host and not re.fullmatch(r"[0-9A-Fa-f:.]+:[0-9A-Fa-f:.]*", host)):
        return f"{value!r} is not a host name; give it alone, such as smtp.example.com. The port has a setting of its own."
    if re.fullmatch(r"[^:]+:\d+", host):
        return "give the host name alone; the port has a setting of its own."
    return None


def _limits(value: dict[str, Any]) -> str | None:
    for group, limits in value.items():
        if not isinstance(limits, dict) or set(limits) - {"rpm", "tpm", "concurrency"}:
            return f"the value of {group!r} must be an object with rpm, tpm and concurrency."
        if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in limits.values()):
            return f"the limits of {group!r} must be whole numbers, 0 for none."
        if any(n > MOST for n in limits.values()):
            return f"the value of {group!r} must not exceed {MOST}."
    return None


def _setting(key: str, type_: type, default: Any, label: str, help: str = "", **more: Any) -> Field:
    words = key
    for written, word in (("GitHub", "Github"), ("WeChat", "Wechat"), ("SMTP", "Smtp"), ("QRCode", "Qrcode"), ("URL", "Url")):
        words = words.replace(written, word)
    name = "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(words))
    return Field(name, type_, default, label, help, key=key, **more)


def _section(title: str, *fields: Field) -> tuple[Field, ...]:
    return tuple(Field(**{**{s: getattr(f, s) for s in Field.__slots__}, "section": title}) for f in fields)


FIELDS: tuple[Field, ...] = (
    *_section(
        "site",
        _setting("SystemName", str, "One API", "System name", "Shown in the header, the browser's title and mails.", check=_one_line),
        _setting("ServerAddress", str, "http://localhost:3000", "Server address", "Public address of this server, used in links of mails and sign-in.", check=address),
        _setting("Logo", str, "", "Logo", "Address of an image."),
        _setting("Footer", str, "", "Footer", "HTML or Markdown below every page.", multiline=True),
        _setting("Notice", str, "", "Notice", "Markdown shown to everybody after sign-in.", multiline=True),
        _setting("About", str, "", "About page", "Markdown, HTML, or an https address that is shown in a frame.", multiline=True),
        _setting("HomePageContent", str, "", "Home page", "Markdown, HTML, or an https address; empty shows the built-in page.", multiline=True),
        _setting("TopUpLink", str, "", "Top-up link", "Where people buy quota.", check=address),
        _setting("ChatLink", str, "", "Chat link", "A chat client's address for the open-in links."),
        _setting("Theme", str, "default", "Theme", "Palette of the whole site.", choices=("default", "berry", "air")),
        _setting("ThemeAccent", str, "", "Accent colour", "A CSS colour such as #4f46e5; empty takes the theme's."),
        _setting("ThemeRadius", str, "", "Corner radius", "Such as 8px; empty takes the theme's."),
        _setting("ThemeFont", str, "", "Font family", "Empty takes the theme's."),
        _setting("OpenInLinks", dict, {}, "Open-in links", "Name → address template with {key} and {address}."),
    ),
    *_section(
        "sign-in",
        _setting("PasswordLoginEnabled", bool, True, "Sign in with password", "Off leaves only the other providers."),
        _setting("PasswordRegisterEnabled", bool, True, "Register with password", "Off leaves registration to the other providers."),
        _setting("RegisterEnabled", bool, True, "New registrations", "Also governs first sign-ins through other providers."),
        _setting("EmailVerificationEnabled", bool, False, "Verify e-mail", "Registration asks for a code sent by mail."),
        _setting("EmailDomainRestrictionEnabled", bool, False, "Restrict e-mail domains", "Codes are sent to addresses of the allowed domains only."),
        _setting("EmailDomainWhitelist", str, "gmail.com,163.com,126.com,qq.com,outlook.com,hotmail.com,icloud.com,yahoo.com,foxmail.com", "Allowed e-mail domains", "Comma list."),
        _setting("SelfDeletionEnabled", bool, True, "People may delete their account", "Off leaves it to administrators."),
        _setting("GitHubOAuthEnabled", bool, False, "Sign in with GitHub", "Needs the client id and secret of a GitHub OAuth app."),
        _setting("GitHubClientId", str, "", "GitHub client id", "Of the OAuth app; its callback is /oauth/github at the server address."),
        _setting("GitHubClientSecret", str, "", "GitHub client secret", "Of the same OAuth app.", secret=True),
        _setting("GitHubBaseUrl", str, "https://github.com", "GitHub address", "For GitHub Enterprise.", check=address),
        _setting("GitHubApiUrl", str, "https://api.github.com", "GitHub API address", "For GitHub Enterprise, usually its address with /api/v3.", check=address),
        _setting("OidcEnabled", bool, False, "Sign in with OIDC", "Needs the client id, its secret and a discovery address or the three endpoints."),
        _setting("OidcClientId", str, "", "OIDC client id", "As registered with the provider; the callback is /oauth/oidc at the server address."),
        _setting("OidcClientSecret", str, "", "OIDC client secret", "Of the same client.", secret=True),
        _setting("OidcWellKnown", str, "", "OIDC discovery address", "…/.well-known/openid-configuration", check=address),
        _setting("OidcAuthorizationEndpoint", str, "", "OIDC authorization endpoint", "Empty takes discovery's.", check=address),
        _setting("OidcTokenEndpoint", str, "", "OIDC token endpoint", "Empty takes discovery's.", check=address),
        _setting("OidcUserinfoEndpoint", str, "", "OIDC userinfo endpoint", "Empty takes discovery's.", check=address),
        _setting("OidcHmacSignatures", bool, False, "OIDC signatures with the client secret", "Accepts id_tokens signed with HS256, HS384 or HS512. Safe only for a confidential client whose secret is long, random and known to nobody else: whoever knows it can sign in as anybody."),
        _setting("OidcUserinfoOnly", bool, False, "OIDC without id_token", "Accepts a provider that returns no id_token; its userinfo names the person by sub or id. Then only TLS protects the identity."),
        _setting("LarkClientId", str, "", "Feishu app id", "Set to offer Feishu sign-in."),
        _setting("LarkClientSecret", str, "", "Feishu app secret", "Of the same app.", secret=True),
        _setting("LarkAccountsUrl", str, "https://accounts.feishu.cn", "Feishu accounts address", "For Lark: https://accounts.larksuite.com", check=address),
        _setting("LarkOpenUrl", str, "https://open.feishu.cn", "Feishu open platform address", "For Lark: https://open.larksuite.com", check=address),
        _setting("LarkPassportUrl", str, "https://passport.feishu.cn", "Feishu passport address", "For Lark: https://passport.larksuite.com", check=address),
        _setting("WeChatAuthEnabled", bool, False, "Sign in with WeChat", "Needs a WeChat server and its token."),
        _setting("WeChatServerAddress", str, "", "WeChat server address", "Of your WeChat Server, which answers the codes that people send to the account.", check=address),
        _setting("WeChatServerToken", str, "", "WeChat server token", "What the WeChat server asks of us.", secret=True),
        _setting("WeChatAccountQRCodeImageURL", str, "", "WeChat QR code image", "Address of the picture that people scan to find the account."),
        _setting("TurnstileCheckEnabled", bool, False, "Cloudflare Turnstile", "Asks visitors to prove that they are human before mails and registrations."),
        _setting("TurnstileSiteKey", str, "", "Turnstile site key", "The public key of the site, from Cloudflare's dashboard."),
        _setting("TurnstileSecretKey", str, "", "Turnstile secret key", "The secret key of the same site.", secret=True),
        _setting("TurnstileVerifyUrl", str, "https://challenges.cloudflare.com/turnstile/v0/siteverify", "Turnstile verify address", "Where answers are checked; change it only for tests.", check=address),
    ),
    *_section(
        "notices",
        _setting("SMTPServer", str, "", "SMTP server", "Host name; without it no mail is sent.", check=_mail_host),
        _setting("SMTPPort", int, 587, "SMTP port", "Usually 587, or 465 for TLS from the start.", check=between(1, 65535)),
        _setting("SMTPSecurity", str, "automatic", "SMTP encryption", "automatic: TLS from the start at port 465, else STARTTLS where the server offers it. none sends the password in clear.", choices=("automatic", "starttls", "tls", "none")),
        _setting("SMTPAccount", str, "", "SMTP account", "User name at the mail server.", check=_credential),
        _setting("SMTPFrom", str, "", "Sender", "An address, or a name and an address: One API <noreply@example.com>. Empty takes the account.", check=_sender),
        _setting("SMTPToken", str, "", "SMTP password", "Password or app token of the account.", secret=True, check=_credential),
        _setting("SMTPCertificateCheck", bool, True, "Check the mail server's certificate", "Off trusts any certificate; only for servers in your own network."),
        _setting("MessagePusherAddress", str, "", "Message Pusher address", "The push address of a Message Pusher, for notices to root.", check=address),
        _setting("MessagePusherToken", str, "", "Message Pusher token", "The token that Message Pusher asks for.", secret=True),
        _setting("WebhookUrl", str, "", "Webhook address", "Gets a POST with JSON for every notice.", check=address),
        _setting("WebhookSecret", str, "", "Webhook secret", "Signs the body with HMAC-SHA-256.", secret=True),
        _setting("QuotaRemindThreshold", int, 1000, "Remind below", "Quota at which people with an e-mail address are told.", check=at_least(0)),
    ),
    *_section(
        "quota",
        _setting("QuotaForNewUser", int, 0, "Quota for new users", "What an account has at the beginning.", check=at_least(0)),
        _setting("QuotaForInviter", int, 0, "Quota for inviters", "What someone gets when a person they invited registers.", check=at_least(0)),
        _setting("QuotaForInvitee", int, 0, "Quota for the invited", "What an invited person gets on top.", check=at_least(0)),
        _setting("PreConsumedQuota", int, 500, "Tokens to reserve", "Reserved for an answer whose length the client did not limit.", check=at_least(0)),
        _setting("QuotaPerUnit", float, 500000.0, "Quota per dollar", "How many units of quota make one dollar. Changes what is shown, not what people have.", check=at_least(1)),
        _setting("DisplayInCurrencyEnabled", bool, True, "Show money instead of quota", "Off shows units of quota."),
        _setting("DisplayTokenStatEnabled", bool, True, "Billing routes speak of the token", "Off: of its owner."),
        _setting("GroupRatio", dict, GROUP_RATIO, "Group ratios", "Also the list of groups.", check=ratios),
        _setting("GroupLimits", dict, {}, "Group limits", "Group → {rpm, tpm, concurrency} for each of its users.", check=_limits),
        _setting("ModelRatio", dict, {}, "Model ratios", "1 = $0.002 per 1,000 tokens; beats the built-in table.", check=ratios),
        _setting("CompletionRatio", dict, {}, "Completion ratios", "Price of answers against prompts.", check=ratios),
        _setting("CacheRatio", dict, {}, "Cached input ratios", "Price of cached input against input.", check=ratios),
        _setting("CacheWriteRatio", dict, {}, "Cache write ratios", "Price of input written to the provider's cache against input.", check=ratios),
        _setting("LongCacheWriteRatio", dict, {}, "Long cache write ratios", "The same for input that the provider keeps for an hour or longer.", check=ratios),
        _setting("AudioRatio", dict, {}, "Audio input ratios", "Price of audio input against text input.", check=ratios),
        _setting("ImageRatio", dict, {}, "Image input ratios", "Price of image input against text input.", check=ratios),
        _setting("CallPrice", dict, {}, "Prices per call", "Dollars for one call, whatever its length.", check=ratios),
        _setting("ToolPrice", dict, {}, "Prices of tools", "Dollars for one call of a tool that the provider runs, by kind (web_search) or model:kind.", check=ratios),
        _setting("TierRatio", dict, {}, "Service tier ratios", "Factor on the price of tokens, by tier (flex, priority, batch) or model:tier.", check=ratios),
        _setting("UnknownModelPolicy", str, "refuse", "Models without a price", "refuse with 400, or charge ratio 30. Self-hosted channels are free either way.", choices=("refuse", "30")),
    ),
    *_section(
        "relay",
        _setting("RetryTimes", int, 0, "Retries", "Other channels to try after a failure. New installations begin with 2.", check=between(0, 100)),
        _setting("QuotaRefusedWith403Enabled", bool, False, "Refuse with 403 when quota is used up", "As the old project did, with its error codes. Off answers 429 insufficient_quota, as OpenAI does."),
        _setting("ChannelDisableThreshold", float, 5.0, "Slow after (seconds)", "Tests slower than this disable a channel; 0 is no limit.", check=at_least(0)),
        _setting("AutomaticDisableChannelEnabled", bool, False, "Disable broken channels", "Takes a channel out when its key is refused, or its balance is used up."),
        _setting("AutomaticEnableChannelEnabled", bool, False, "Enable recovered channels", "Only those that were disabled automatically."),
        _setting("ChannelBalanceThreshold", float, 0.0, "Disable below balance", "Balance at which an automatic update disables a channel; 0 disables those with nothing left, where broken channels are disabled.", check=at_least(0)),
        _setting("CooldownSeconds", int, 30, "Rest after 429 (seconds)", "When the vendor names no time.", check=between(0, 3600)),
        _setting("LogConsumeEnabled", bool, True, "Log consumption", "Off keeps charges in the ledger and counts failures, but writes no log line for each request."),
        _setting("LogRetentionDays", int, 0, "Keep logs (days)", "0 keeps them for ever.", check=at_least(0)),
        _setting("ApproximateTokenEnabled", bool, False, "Approximate token counts", "Counts bytes × 0.38 where a vendor reports no usage."),
        _setting("PrivateNetworksEnabled", bool, True, "Channels on private networks", "Off refuses channel addresses in private networks, also when a name leads there at the time of a connection."),
        _setting("UserAddressPorts", str, "", "Further ports of users' addresses", "Comma list of ports beside 80 and 443 from which pictures that users name are fetched.", check=_ports),
        _setting("ClientHeaders", str, "", "Further client headers", "Comma list of headers that travel from clients to providers beside those of each provider (docs/vendors.md): x-trace-id for any value, anthropic-beta=files-api for one more value of a header that a provider takes.", check=client_headers.complaint),
        _setting("UserRequestsPerMinute", int, 0, "Requests per minute and user", "0 is no limit.", check=at_least(0)),
        _setting("UserTokensPerMinute", int, 0, "Tokens per minute and user", "0 is no limit.", check=at_least(0)),
        _setting("UserConcurrency", int, 0, "Requests in flight per user", "0 is no limit.", check=at_least(0)),
    ),
)  # fmt: skip

BY_KEY = {f.stored_as: f for f in FIELDS}
# Stored at the first start, so that a default can be better for new installations and an upgrade changes nothing silently: a
# database that exists keeps what it has stored, and the Field's default where it has stored nothing.
NEW_INSTALLATIONS = {"RetryTimes": "2", "UnknownModelPolicy": "refuse"}
# Stored when a database of the old project is adopted, where the old project behaved differently from the Field's default.
ADOPTED = {"UnknownModelPolicy": "30"}


class Settings(SimpleNamespace):
    """One attribute per Field, by snake_case name."""

    def extra_ports(self) -> frozenset[int]:
        """The ports of UserAddressPorts."""
        return frozenset(map(int, names(self.user_address_ports)))

    def __repr__(self) -> str:  # holds secrets
        return "Settings()"


def read(rows: Mapping[str, str], theme: str = "default") -> Settings:
    """The settings in force, from stored texts. A stored text that no longer parses counts as its default."""
    values = {}
    for field in FIELDS:
        values[field.name] = field.default
        if field.stored_as in rows:
            try:
                values[field.name] = field.parse(rows[field.stored_as])
            except Invalid as error:
                values[field.name] = _usable(field, rows[field.stored_as])
                _tell(field.stored_as, str(error))
    if "Theme" not in rows:
        values["theme"] = theme
    return Settings(**values)


def _usable(field: Field, text: str) -> Any:
    """What a stored text that its field refuses is read as: of a table of numbers the entries that fit, else the default."""
    with suppress(ValueError):
        if field.check is ratios and isinstance(table := parsed(text), dict):
            return {name: number for name, number in table.items() if ratios({name: number}) is None}
    return field.default


@cache
def _tell(key: str, complaint: str) -> None:  # once for each, or every refresh would say it again
    log.warning("the stored value of %s does not fit, its default or the part that fits is used: %s", key, complaint)


def stored_text(key: str, value: Any) -> str:
    """The text to store for a value given by key; raises Invalid when its Field objects."""
    field = BY_KEY[key]
    return field.text(field.parse(value if isinstance(value, str) else json.dumps(value)))
