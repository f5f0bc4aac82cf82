"""What anybody may read: status and the site's texts; and which models each channel type knows."""

from flask import Response

from oneapi import access, config, vendors
from oneapi.api import envelope
from oneapi.catalog import models as catalog
from oneapi.models.user import Role
from oneapi.settings import Settings

routes = envelope.resource("public", "")

# name in the status answer: setting
STATUS = {
    "email_verification": "email_verification_enabled", "github_oauth": "github_o_auth_enabled",
    "github_client_id": "github_client_id", "lark_client_id": "lark_client_id", "system_name": "system_name", "logo": "logo",
    "footer_html": "footer", "wechat_qrcode": "wechat_account_qrcode_image_url", "wechat_login": "wechat_auth_enabled",
    "server_address": "server_address", "turnstile_check": "turnstile_check_enabled", "turnstile_site_key": "turnstile_site_key",
    "top_up_link": "top_up_link", "chat_link": "chat_link", "quota_per_unit": "quota_per_unit",
    "display_in_currency": "display_in_currency_enabled", "oidc": "oidc_enabled", "oidc_client_id": "oidc_client_id",
    "oidc_well_known": "oidc_well_known", "oidc_authorization_endpoint": "oidc_authorization_endpoint",
    "oidc_token_endpoint": "oidc_token_endpoint", "oidc_userinfo_endpoint": "oidc_userinfo_endpoint",
    "password_login": "password_login_enabled", "password_register": "password_register_enabled", "register": "register_enabled",
}  # fmt: skip


def status(now: Settings, started_at: int) -> dict[str, object]:
    return {"version": config.VERSION, "start_time": started_at} | {name: getattr(now, key) for name, key in STATUS.items()}


@routes.route("/status", allow=None, unready=True)
@envelope.says("Status")
def get_status() -> Response:
    """Facts about this installation; also the health check."""
    state = access.state()
    return envelope.ok(status(state.settings, state.started_at))


@routes.route("/notice", allow=None)
@envelope.says("string")
def get_notice() -> Response:
    """The notice shown to everybody."""
    return envelope.ok(access.state().settings.notice)


@routes.route("/about", allow=None)
@envelope.says("string")
def get_about() -> Response:
    """The text of the about page."""
    return envelope.ok(access.state().settings.about)


@routes.route("/home_page_content", allow=None)
@envelope.says("string")
def get_home_page() -> Response:
    """The text of the home page."""
    return envelope.ok(access.state().settings.home_page_content)


@routes.route("/models", allow=Role.USER)
@envelope.says("Models")
def get_models() -> Response:
    """The models each channel type knows, by type."""
    return envelope.ok({str(type): list(catalog.channel_models(type)) for type in sorted(vendors.REGISTRY)})


@routes.route("/group/", allow=Role.ADMIN)
@envelope.says("[string]")
def get_groups() -> Response:
    """The names of all groups."""
    return envelope.ok(list(access.state().settings.group_ratio))
