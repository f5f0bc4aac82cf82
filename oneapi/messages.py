"""What the management API and its pages say to people when they refuse, in Chinese and English.

The Chinese texts are those that clients of the old project match on; English is for everybody else.
"""

import re
from collections.abc import Mapping
from typing import Any

from oneapi.fields import Invalid

# code: (Chinese, English). Never change a Chinese text that the old project had: programs compare them.
TEXTS: dict[str, tuple[str, str]] = {
    # Who is asking
    "signed_out": ("无权进行此操作，未登录且未提供 access token", "Not signed in, and no access token was given."),
    "bad_access_token": ("无权进行此操作，access token 无效", "The access token is not valid."),
    "banned": ("用户已被封禁", "This account is disabled."),
    "role": ("无权进行此操作，权限不足", "Your role does not allow this."),
    "cross_site": (
        "拒绝来自其他站点的请求：来源为 {origin}，本服务器的地址为 {own}。若这就是本站，请将 ServerAddress"
        "（环境变量 SERVER_ADDRESS）设为浏览器所用的地址，或让反向代理传递 Host 请求头",
        "This request came from another site and was refused: its origin is {origin}, and this server is {own}. If that is the "
        "same site, set ServerAddress (environment variable SERVER_ADDRESS) to the address that browsers use, or let the proxy "
        "pass the Host header.",
    ),
    "get_changes": (
        "此 GET 请求会更改数据：请改用 POST，或提供 access token，或在 X-CSRF-Token 请求头中提供会话的令牌",
        "This GET request changes something. Use POST, an access token, or the session's token in the header X-CSRF-Token.",
    ),
    "csrf": ("页面已过期，请刷新后重试", "This form has expired. Reload the page and try again."),
    "too_many": ("请求过于频繁，请在 {seconds} 秒后重试", "Too many requests. Try again in {seconds} seconds."),
    "must_change_password": ("请先修改初始密码", "Choose a new password first."),
    "internal": ("服务器内部错误，请求 ID：{id}", "Something went wrong on our side. Request id: {id}"),
    "unstorable": (
        "数据库无法存储其中的某个字符：请管理员运行 flask --app wsgi db-convert-charset",
        "The database cannot hold one of these characters. An administrator can convert it: flask --app wsgi db-convert-charset.",
    ),
    "database_busy": ("数据库繁忙或无响应，请稍后重试", "The database is busy or does not answer. Try again in a few seconds."),
    # Input
    "invalid_parameter": ("无效的参数", "invalid parameter"),
    "wrong_type": ("无效的参数：{field} 应为{kind_zh}", "invalid parameter: {field} must be {kind}"),
    "invalid_input": ("无效的输入，请检查您的输入", "Invalid input, please check your input"),
    "invalid_input_because": ("输入不合法 {field} 过长或不符合要求", "Invalid input: {field} is too long or not allowed."),
    "password_length": (
        "输入不合法 密码长度必须在 {shortest}-{longest} 之间",
        "A password has {shortest} to {longest} characters.",
    ),
    "too_large": ("请求体过大", "The body of the request is too large."),
    "not_found": ("record not found", "record not found"),
    "id_missing": ("id 为空！", "The id is missing."),
    # Accounts
    "login_off": ("管理员关闭了密码登录", "Signing in with a password is turned off."),
    "bad_login": ("用户名或密码错误，或用户已被封禁", "Wrong user name or password, or the account is disabled."),
    "first_password_is_local": (
        "超级管理员的初始密码只能从本机或内网登录。请从那里登录并修改密码，或运行 flask reset-root-password",
        "Root's first password works only from this server and from private networks. Sign in from there and change it, or run "
        "flask reset-root-password.",
    ),
    "login_locked": ("登录失败次数过多，请在 {seconds} 秒后重试", "Too many failed sign-ins. Try again in {seconds} seconds."),
    "register_off": ("管理员关闭了新用户注册", "New registrations are turned off."),
    "password_register_off": (
        "管理员关闭了通过密码进行注册，请使用第三方账户验证的形式进行注册",
        "Registering with a password is turned off; sign in through another provider.",
    ),
    "email_and_code_needed": (
        "管理员开启了邮箱验证，请输入邮箱地址和验证码",
        "Give an e-mail address and the code that was sent to it.",
    ),
    "bad_code": ("验证码错误或已过期", "The code is wrong or has expired."),
    "username_taken": ("用户名已被占用", "This user name is taken."),
    "email_taken": ("邮箱地址已被占用", "This e-mail address is taken."),
    "email_ambiguous": (
        "有多个账户使用此邮箱地址，请使用用户名登录",
        "Several accounts have this e-mail address. Sign in with the user name.",
    ),
    "email_domain": (
        "管理员启用了邮箱域名白名单，您的邮箱地址的域名不在白名单中",
        "The domain of this e-mail address is not on the list of allowed domains.",
    ),
    "mail_failed": ("发送邮件失败：{error}", "failed to send email: {error}"),
    "bad_reset": ("重置链接非法或已过期", "The link is not valid or has expired."),
    "cannot_delete_root": ("不能删除超级管理员账户", "The root account cannot be deleted."),
    "self_deletion_off": ("管理员关闭了自助删除账户", "Deleting your own account is turned off."),
    "wrong_password": ("原密码错误", "The current password is wrong."),
    "password_unchanged": ("新密码不能与初始密码相同", "Choose a password other than the first one."),
    # Management of people
    "user_missing": ("用户不存在", "There is no such user."),
    "no_right_to_read": ("无权获取同级或更高等级用户的信息", "You may not read users of your own level or above."),
    "no_right_to_change": (
        "无权更新同权限等级或更高权限等级的用户信息",
        "You may not change users of your own level or above.",
    ),
    "no_right_to_raise": (
        "无权将其他用户权限等级提升到大于等于自己的权限等级",
        "You may not raise anybody to your own level or above.",
    ),
    "no_right_to_create": ("无法创建权限大于等于自己的用户", "You may not create users of your own level or above."),
    "no_right_to_delete": (
        "无权删除同权限等级或更高权限等级的用户",
        "You may not delete users of your own level or above.",
    ),
    "cannot_disable_root": ("无法禁用超级管理员用户", "The root account cannot be disabled."),
    "cannot_remove_root": ("无法删除超级管理员用户", "The root account cannot be deleted."),
    "only_root_promotes": ("普通管理员用户无法提升其他用户为管理员", "Only root makes administrators."),
    "already_admin": ("该用户已经是管理员", "This user is an administrator already."),
    "cannot_demote_root": ("无法降级超级管理员用户", "The root account cannot be demoted."),
    "already_common": ("该用户已经是普通用户", "This user is no administrator."),
    "unknown_action": ("无效的参数：未知操作 {action}", "invalid parameter: unknown action {action}"),
    "unknown_group": ("分组 {group} 不存在", "There is no group {group}."),
    # Money
    "negative_quota": ("quota 不能为负数！", "The quota must not be negative."),
    "balance_too_high": (
        "余额最多为 {most}，此操作将使其达到 {total}",
        "A balance holds at most {most} units of quota; this would make it {total}.",
    ),
    "no_right_to_top_up": (
        "管理员不能为自己或超级管理员充值",
        "Administrators cannot top up themselves or root.",
    ),
    "topup_failed": ("充值失败，请重试", "The top-up was not made."),
    "topup_differs": ("该 Idempotency-Key 已用于另一笔充值", "This Idempotency-Key was used for another top-up."),
    "no_code": ("未提供兑换码", "No code was given."),
    "redeem_invalid": ("兑换失败，无效的兑换码", "Redeeming failed: there is no such code."),
    "redeem_used": ("兑换失败，该兑换码已被使用", "Redeeming failed: this code has been used."),
    "redeem_expired": ("兑换失败，该兑换码已过期", "Redeeming failed: this code has expired."),
    "redeem_differs": ("该 Idempotency-Key 已用于另一个兑换码", "This Idempotency-Key was used for another code."),
    "code_name_length": ("兑换码名称长度必须在1-20之间", "The name of a code must have 1 to 20 characters."),
    "code_count_low": ("兑换码个数必须大于0", "Make at least one code."),
    "code_count_high": ("一次兑换码批量生成的个数不能大于 100", "Make at most 100 codes at a time."),
    "code_is_used": ("已使用的兑换码无法修改", "A used code cannot be changed."),
    # Tokens
    "token_name": ("参数错误：令牌名称过长", "Bad parameter: the name of the token is too long."),
    "token_subnet": ("参数错误：无效的网段：{error}", "Bad parameter: not a network: {error}"),
    "token_quota": ("参数错误：令牌额度不能为负数", "Bad parameter: the quota of a token must not be negative."),
    "token_expired": (
        "令牌已过期，无法启用，请先修改令牌过期时间，或者设置为永不过期",
        "The token has expired. Change its expiry first, or let it never expire.",
    ),
    "token_exhausted": (
        "令牌可用额度已用尽，无法启用，请先修改令牌剩余额度，或者设置为无限额度",
        "The token's quota is used up. Raise it first, or make it unlimited.",
    ),
    "number_range": ("{field} 必须在 {low} 到 {high} 之间", "{field} must be a number from {low} to {high}."),
    "expiry": (
        "expired_time 必须是自 1970 年起的秒数（最大 {latest}），-1 表示永不过期",
        "expired_time must be in seconds since 1970, at most {latest}; -1 is never.",
    ),
    # Channels
    "channel_key_missing": ("渠道密钥不能为空", "Give at least one key."),
    "channel_key_again": (
        "已保存的密钥只能发往其原来的地址：更改 {what} 时请重新填写密钥，或由超级管理员更改",
        "A stored key goes only to the address it was stored for. To change {what}, enter the key again, or ask root to do it.",
    ),
    "channel_base_url_missing": ("该渠道类型必须填写 base_url", "This type of channel needs a base URL."),
    "channel_type": ("未知的渠道类型 {type}", "There is no channel type {type}."),
    "channel_json": ("{field} 必须是 JSON 对象", "{field} must be a JSON object."),
    "channel_field": ("{field}：{complaint}", "{field}: {complaint}"),
    "channel_address": (
        "base_url 必须以 http:// 或 https:// 开头",
        "The base URL must begin with http:// or https://.",
    ),
    "channel_status": ("无效的渠道状态 {status}", "There is no channel status {status}."),
    "private_address": (
        "不允许使用内网地址的渠道",
        "Channel addresses in private networks are refused. Switch on “Channels on private networks” under Settings, "
        "Routing and monitoring.",
    ),
    "tests_running": ("测试已在运行中", "Tests are running already."),
    "job_running": ("任务已在运行中", "The job is running already."),
    "job_unknown": ("没有名为 {name} 的任务", "There is no job called {name}."),
    "target_timestamp": ("target timestamp is required", "target timestamp is required"),
    # Settings
    "theme": ("无效的主题", "There is no such theme."),
    "github_incomplete": (
        "无法启用 GitHub OAuth，请先填入 GitHub Client Id 以及 GitHub Client Secret！",
        "Fill in GitHub's client id and secret first.",
    ),
    "oidc_incomplete": (
        "无法启用 OIDC，请先填入 OIDC Client Id 以及 Well-Known 地址或各端点地址！",
        "Fill in OIDC's client id and its discovery address or endpoints first.",
    ),
    "domains_incomplete": ("无法启用邮箱域名限制，请先填入限制的邮箱域名！", "Fill in the allowed e-mail domains first."),
    "wechat_incomplete": ("无法启用微信登录，请先填入微信登录相关配置信息！", "Fill in the WeChat server first."),
    "sender_missing": (
        "SMTP 账户 {account} 不是邮箱地址，请先填入发件人（SMTPFrom），例如 noreply@example.com",
        "The SMTP account {account} is not an e-mail address. Set the sender (SMTPFrom) first, such as noreply@example.com.",
    ),
    "turnstile_incomplete": (
        "无法启用 Turnstile 校验，请先填入 Turnstile 校验相关配置信息！",
        "Fill in Turnstile's keys first.",
    ),
    "unknown_option": ("未知的设置项 {key}", "There is no setting {key}."),
    # Other providers
    "state_differs": ("state is empty or not same", "state is empty or not same"),
    "provider_off": ("管理员未开启通过 {provider_zh} 登录以及注册", "Signing in with {provider} is turned off."),
    "provider_unreachable": ("无法连接至 {provider_zh} 服务器，请稍后重试！", "{provider} cannot be reached. Try again later."),
    "provider_odd": ("返回值非法，用户字段为空，请稍后重试！", "{provider} did not say who you are. Try again later."),
    "provider_refused": ("{provider_zh} 拒绝了登录：{error}", "{provider} refused the sign-in: {error}"),
    "provider_bound": ("该 {provider_zh} 账户已被绑定", "This {provider} account is bound already."),
    "provider_email_taken": (
        "该邮箱已被其他账户使用，请先登录该账户后再绑定 {provider_zh}",
        "Another account has this e-mail address. Sign in to it and bind {provider} there.",
    ),
    "provider_known_by_name": (
        "已有账户以此 {provider_zh} 用户名绑定。请先用密码登录该账户，再在个人资料页绑定 {provider_zh}",
        "An account from the previous version is linked to this {provider} name. Sign in to it with its password and link "
        "{provider} on its profile page.",
    ),
    "lark_bound": ("该飞书账户已被绑定", "This Feishu account is bound already."),
    "lark_unreachable": ("无法连接至飞书服务器，请稍后重试！", "Feishu cannot be reached. Try again later."),
    "wechat_bound": ("该微信账号已被绑定", "This WeChat account is bound already."),
    "wechat_off": ("管理员未开启通过微信登录以及注册", "Signing in with WeChat is turned off."),
    "last_way_in": (
        "这是唯一的登录方式，请先设置密码",
        "This is the only way into the account: set a password first.",
    ),
    "turnstile_missing": ("Turnstile token 为空", "The Turnstile token is missing."),
    "turnstile_failed": ("Turnstile 校验失败，请刷新重试！", "The Turnstile check failed. Reload the page and try again."),
}


# What notices and mails say, as event: ((subject, text) in Chinese, then in English).
NOTICES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "test": (("{system} 测试", "这是一条测试消息。"), ("A test of {system}", "This is a test: notices of this server arrive.")),
    "channel_disabled": (
        ("渠道状态变更提醒", "渠道「{name}」（#{id}）已被禁用，原因：{reason}"),
        ("Channel disabled", "Channel “{name}” (#{id}) was disabled: {reason}"),
    ),
    "channel_enabled": (
        ("渠道状态变更提醒", "渠道「{name}」（#{id}）已被重新启用"),
        ("Channel enabled", "Channel “{name}” (#{id}) works again and was enabled."),
    ),
    "channel_slow": (
        ("渠道状态变更提醒", "渠道「{name}」（#{id}）响应过慢：{reason}"),
        ("Slow channel", "Channel “{name}” (#{id}) answers slowly: {reason}"),
    ),
    "tests_done": (
        ("渠道测试完成", "渠道测试已完成：共 {total} 个，失败 {failed} 个"),
        ("Channel tests finished", "All channel tests are done: {total} tested, {failed} failed."),
    ),
    "job_failed": (
        ("任务失败", "任务 {name} 失败：{error}"),
        ("Job failed", "The job {name} failed: {error}"),
    ),
    "low_balance": (
        ("额度提醒", "您的额度即将用尽，当前剩余额度为 {left}。充值请访问：{link}"),
        ("Your quota is running low", "You have {left} left. Top up here: {link}"),
    ),
    "no_balance": (
        ("额度提醒", "您的额度已用尽。充值请访问：{link}"),
        ("Your quota is used up", "Nothing is left of your quota. Top up here: {link}"),
    ),
    "verification": (
        ("{system} 邮箱验证邮件", "您的 {system} 验证码为：{code}，{minutes} 分钟内有效。如果不是您本人的操作，请忽略这封邮件。"),
        (
            "Your code for {system}",
            "Your code for {system} is {code}, valid for {minutes} minutes. If you did not ask for it, ignore this mail.",
        ),
    ),
    "email_known": (
        (
            "{system} 邮箱验证邮件",
            "有人请求用此邮箱地址注册或绑定 {system} 账户，但已有账户使用该地址。如果忘记密码，请访问：{link} "
            "如果不是您本人的操作，请忽略这封邮件。",
        ),
        (
            "Your account for {system}",
            "A code was requested for this e-mail address, but an account for {system} has it already. If you forgot its "
            "password, get a new one here: {link} If you did not ask for it, ignore this mail.",
        ),
    ),
    "email_changed": (
        (
            "{system} 邮箱地址已更改",
            "您的 {system} 账户 {name} 的邮箱地址已改为 {email}。如果不是您本人的操作，请立即修改密码并联系管理员。",
        ),
        (
            "Your e-mail address for {system} was changed",
            "The e-mail address of your account {name} for {system} is now {email}. If you did not change it, set a new password "
            "and tell your administrator.",
        ),
    ),
    "reset": (
        ("{system} 密码重置", "请在 {minutes} 分钟内打开此链接重置 {system} 密码：{link} 如果不是您本人的操作，请忽略这封邮件。"),
        (
            "A new password for {system}",
            "Open this link within {minutes} minutes to get a new password for {system}: {link} "
            "If you did not ask for it, ignore this mail.",
        ),
    ),
}


class Refused(Exception):
    """We will not do this; `code` is one of TEXTS and says why. `field` names the input to mend, if it is one."""

    def __init__(self, code: str, *, field: str = "", **values: Any):
        super().__init__(code)
        self.code, self.field, self.values = code, field, {"field": field} | values

    def text(self, language: str = "en") -> str:
        return text(self.code, language, **self.values)


def text(code: str, language: str = "en", **values: Any) -> str:
    """The sentence in Chinese for languages that begin with zh, in English for others."""
    return TEXTS[code][0 if language.lower().startswith("zh") else 1].format_map(values)


def chinese(accept_language: str) -> bool:
    """Whether an Accept-Language header asks for Chinese, as the old project decided it."""
    return accept_language.strip().lower().startswith("zh")


# How a Field words its complaints, and the same in Chinese.
SENTENCES = tuple(
    (re.compile(english), zh)
    for english, zh in (
        (r"give (?P<n>[\d.e+-]+) or more\.", "不能小于 {n}"),
        (r"give (?P<n>[\d.e+-]+) or less\.", "不能大于 {n}"),
        (r"give a number from (?P<a>[\d.e+-]+) to (?P<b>[\d.e+-]+)\.", "必须是 {a} 到 {b} 之间的数字"),
        (r"give an address that begins with http:// or https://\.", "必须是以 http:// 或 https:// 开头的地址"),
        (r"give an address with a host, such as https://example\.com\.", "必须是含有主机名的地址，例如 https://example.com"),
        (r"give a whole number, not (?P<it>.*)\.", "必须是整数，而不是 {it}"),
        (r"give a number, not (?P<it>.*)\.", "必须是数字，而不是 {it}"),
        (r"give true or false, not (?P<it>.*)\.", "必须是 true 或 false，而不是 {it}"),
        (r"give a JSON object \((?P<why>.*)\)\.", "必须是 JSON 对象（{why}）"),
        (r"choose one of (?P<these>.*), not (?P<it>.*)\.", "必须是 {these} 之一，而不是 {it}"),
        (r"the value of (?P<it>.*) must be a number\.", "{it} 的值必须是数字"),
        (r"the value of (?P<it>.*) must not be negative\.", "{it} 的值不能为负数"),
        (r"the value of (?P<it>.*) must not exceed (?P<n>\d+)\.", "{it} 的值不能大于 {n}"),
        (
            r"the value of (?P<it>.*) must be an object with rpm, tpm and concurrency\.",
            "{it} 的值必须是含有 rpm、tpm 和 concurrency 的对象",
        ),
        (
            r"(?P<it>.*) is not a port; give numbers from 1 to 65535 with commas between\.",
            "{it} 不是端口；请填写 1 到 65535 的数字，用逗号分隔",
        ),
        (r"the limits of (?P<it>.*) must be whole numbers, 0 for none\.", "{it} 的限制必须是整数，0 表示不限制"),
        (r"give a header with the key in it, such as (?P<it>.*)\.", "必须是含有密钥的请求头，例如 {it}"),
    )
)


def sentence(name: str, complaint: str, language: str) -> str:
    """A Field's complaint, which is "label: what to mend", in a language. Labels are English, so Chinese names it."""
    rest = complaint.partition(": ")[2]
    for pattern, zh in SENTENCES if chinese(language) else ():
        if match := pattern.fullmatch(rest):
            return f"{name}：{zh.format_map(match.groupdict())}"
    return complaint


def of(error: Refused | Invalid, language: str = "en") -> str:
    return error.text(language) if isinstance(error, Refused) else "; ".join(errors(error, language).values())


def errors(error: Refused | Invalid, language: str = "en") -> Mapping[str, str]:
    """Complaints by field, for a form; what belongs to no field stands under ""."""
    if isinstance(error, Refused):
        return {error.field: error.text(language)}
    return {name: sentence(name, text, language) for name, text in error.errors.items()}
