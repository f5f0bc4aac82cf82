"""Other providers on the pages of the ways in: which are offered, and Turnstile where it is asked for."""

from dataclasses import dataclass

from flask import request, session

from oneapi import access
from oneapi.login import turnstile
from oneapi.pages.render import allow, origin

TURNSTILE = "https://challenges.cloudflare.com"


@dataclass(frozen=True)
class Offer:
    name: str
    title: str
    icon: str
    column: str


OFFERS = (
    ("github_o_auth_enabled", Offer("github", "GitHub", "brand-github", "github_id")),
    ("oidc_enabled", Offer("oidc", "OIDC", "shield-check", "oidc_id")),
    ("lark_client_id", Offer("lark", "Feishu", "send", "lark_id")),
)


def offered() -> list[Offer]:
    settings = access.state().settings
    return [offer for switch, offer in OFFERS if getattr(settings, switch)]


def turnstile_policy() -> None:
    """Let Cloudflare's widget in, and the WeChat account's picture."""
    settings = access.state().settings
    if settings.turnstile_check_enabled:
        allow("script-src", TURNSTILE)
        allow("frame-src", TURNSTILE)
    if settings.wechat_auth_enabled:
        allow("img-src", origin(settings.wechat_account_qrcode_image_url))


def check_turnstile() -> None:
    """Raise Refused unless Turnstile is off or vouches for this form."""
    turnstile.check(access.state(), session, request.form.get("cf-turnstile-response", ""), access.client_ip())
