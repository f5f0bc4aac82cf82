"""Notices by mail, Message Pusher and webhook, against real servers on loopback."""

import datetime
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import bare
import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fake_mail import Mailbox
from fake_vendor import FakeVendor
from flask import Flask
from gevent.server import StreamServer

from oneapi import notify
from oneapi.actions import SYSTEM, options
from oneapi.fields import Invalid
from oneapi.guarded import FetchError
from oneapi.messages import Refused
from oneapi.models.user import User
from oneapi.notify import MailError
from oneapi.state import State

CASES = (
    ("channel_disabled", {"id": 3, "name": "c", "reason": "no such key"}),
    ("channel_enabled", {"id": 3, "name": "c"}),
    ("tests_done", {"total": 5, "failed": 2}),
    ("job_failed", {"name": "balances", "error": "ValueError: x"}),
)


@pytest.fixture
def app(tmp_path: Any) -> Iterator[Flask]:
    made = bare.app(tmp_path)
    yield made
    made.extensions["oneapi"].databases.dispose()


@pytest.fixture
def put(state: State) -> Callable[..., None]:
    return lambda **values: options.save(state, SYSTEM, values)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVendor]:
    fake = FakeVendor().always({"success": True, "message": ""})
    monkeypatch.setattr(notify, "TRIES", (0.0, 0.0))
    yield fake
    fake.close()


def tell(state: State, name: str, language: str | None = None, email: str | None = None) -> None:
    with state.databases.transaction() as session:
        row = session.query(User).filter_by(username=name).one()
        row.language, row.email = language, email


@pytest.mark.parametrize("event, facts", CASES)
def test_a_webhook_gets_signed_json(state, put, hook, event, facts):
    put(WebhookUrl=f"{hook.url}/hook", WebhookSecret="s3cret")
    tell(state, "root", "en")
    getattr(notify, event)(state, *facts.values())
    assert notify.drain()
    [asked] = hook.asked
    assert (asked.method, asked.path, asked.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert asked.headers["x-oneapi-signature"] == notify.signature("s3cret", asked.body)
    assert (asked.json["event"], asked.json["data"], asked.json["time"]) == (event, facts, bare.NOW)
    assert all(str(fact) in asked.json["content"] for fact in facts.values())


def test_the_signature_is_hmac_sha256():
    # RFC 4231, test case 2
    expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert notify.signature("Jefe", b"what do ya want for nothing?") == expected


def test_a_webhook_that_fails_is_tried_again(state, put, hook):
    put(WebhookUrl=hook.url)
    hook.says({}, status=503)
    notify.channel_enabled(state, 1, "c")
    assert notify.drain() and len(hook.asked) == 2


@pytest.mark.parametrize("status", [200, 404])
def test_a_webhook_that_took_it_or_never_will_is_not_asked_again(state, put, hook, status):
    put(WebhookUrl=hook.url)
    hook.always({}, status=status)
    notify.channel_enabled(state, 1, "c")
    assert notify.drain() and len(hook.asked) == 1


def test_message_pusher_comes_before_mail(state, put, hook):
    with Mailbox() as box:
        put(MessagePusherAddress=f"{hook.url}/push/me", MessagePusherToken="tok", SMTPServer="127.0.0.1", SMTPPort=str(box.port))
        put(SMTPFrom="gateway@example.com")
        tell(state, "root", "zh-CN", "root@example.com")
        notify.channel_disabled(state, 7, "主渠道", "余额不足")
        assert notify.drain() and box.mails == []
        assert hook.asked[0].json == {
            "title": "渠道状态变更提醒", "description": "渠道状态变更提醒", "url": "", "channel": "", "token": "tok",
            "content": "渠道「主渠道」（#7）已被禁用，原因：余额不足",
        }  # fmt: skip
        hook.always({"success": False, "message": "no"})
        notify.channel_enabled(state, 7, "<b>主渠道</b>")
        assert notify.drain()
        [mail] = box.mails
        assert (mail.to, mail.subject) == (["root@example.com"], "渠道状态变更提醒") and "&lt;b&gt;" in mail.text


def test_who_chose_no_language_reads_both(state, put, hook):
    put(WebhookUrl=hook.url)
    notify.channel_enabled(state, 7, "c")
    assert notify.drain()
    assert hook.asked[0].json["title"] == "渠道状态变更提醒 / Channel enabled"


def test_the_same_failure_is_told_once_a_day(app, state, put, hook):
    put(WebhookUrl=hook.url)
    for _ in range(3):
        notify.job_failed(state, "balances", "boom")
        notify.drain()
    notify.job_failed(state, "balances", "another")
    assert notify.drain() and len(hook.asked) == 2
    state.clock.now += notify.DAY + 1
    notify.job_failed(state, "balances", "boom")
    assert notify.drain() and len(hook.asked) == 3


def test_the_same_news_is_not_told_twice_in_a_row(state, put, hook):
    put(WebhookUrl=hook.url)

    def told(tell: Callable[..., None], *facts: Any) -> bool:
        before = len(hook.asked)
        tell(state, 3, "c", *facts)
        assert notify.drain()
        return len(hook.asked) > before

    assert told(notify.channel_disabled, "no such key")
    assert not told(notify.channel_disabled, "no such key")
    assert told(notify.channel_disabled, "another reason")
    assert told(notify.channel_enabled)
    assert told(notify.channel_disabled, "another reason"), "it was enabled in between"
    assert told(notify.channel_slow, "6 s") and not told(notify.channel_slow, "7 s")
    state.clock.now += notify.DAY
    assert told(notify.channel_disabled, "another reason") and told(notify.channel_slow, "7 s")


@pytest.mark.parametrize("way", ["webhook", "push", "mail"])
def test_news_that_reached_nobody_are_told_when_they_come_again(state, put, hook, way):
    with Mailbox() as box:
        closed = box.port
    tell(state, "root", "en", "root@example.com" if way == "mail" else None)
    if way == "mail":
        put(SMTPServer="127.0.0.1", SMTPPort=str(closed), SMTPFrom="gateway@example.com")
    else:
        put(**{"webhook": {"WebhookUrl": hook.url}, "push": {"MessagePusherAddress": f"{hook.url}/push/me"}}[way])
    hook.always({}, status=503)
    notify.channel_disabled(state, 3, "c", "no such key")
    assert notify.drain()
    with Mailbox() as box:
        if way == "mail":
            put(SMTPPort=str(box.port))
        hook.always({"success": True})
        before = len(hook.asked)
        for _ in range(2):
            notify.channel_disabled(state, 3, "c", "no such key")
            assert notify.drain()
        assert len(box.mails if way == "mail" else hook.asked[before:]) == 1


def test_a_mail_is_tried_again(state, put, hook, monkeypatch):
    tries = []

    def away_at_first(*what: Any) -> None:
        tries.append(what)
        if len(tries) == 1:
            raise MailError("the server is away")

    monkeypatch.setattr(notify, "send_mail", away_at_first)
    tell(state, "root", "en", "root@example.com")
    notify.channel_enabled(state, 3, "c")
    assert notify.drain() and len(tries) == 2


def test_many_notices_at_once_all_arrive(state, put, hook):
    put(WebhookUrl=hook.url)
    for number in range(100):
        notify.channel_enabled(state, number, "c")
    assert notify.drain() and len(hook.asked) == 100


def test_a_test_says_at_once_how_it_went(state, put, hook):
    put(WebhookUrl=f"{hook.url}/hook", MessagePusherAddress=f"{hook.url}/push")
    with Mailbox() as box:
        put(SMTPServer="127.0.0.1", SMTPPort=str(box.port), SMTPFrom="gateway@example.com")
        notify.send_test(state, "mail", "a@example.com", "en")
        assert [(mail.to, mail.subject) for mail in box.mails] == [(["a@example.com"], "A test of One API")]
    notify.send_test(state, "push")
    notify.send_test(state, "webhook")
    assert [(asked.path, asked.json.get("event")) for asked in hook.asked] == [("/push", None), ("/hook", "test")]
    hook.always({"success": False, "message": "wrong token"}, status=403)
    for how, said in (("push", "wrong token"), ("webhook", "answered 403")):
        with pytest.raises(FetchError, match=said):
            notify.send_test(state, how)
    with pytest.raises(MailError):
        notify.send_test(state, "mail")


def test_nothing_is_set_up_and_nothing_happens(state):
    notify.channel_enabled(state, 1, "c")
    assert notify.drain()


# Mail servers


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with key and certificate of 127.0.0.1, signed by nobody."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1)
    )
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    path = tmp_path_factory.mktemp("tls") / "pair.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(pem))
    return str(path)


SENDER = {"SMTPServer": "127.0.0.1", "SMTPAccount": "gateway@example.com", "SMTPToken": "pass"}
PASSWORDS = {"gateway@example.com": "pass"}


def test_a_mail_has_what_a_mail_needs(state, put):
    with Mailbox() as box:
        put(SMTPServer="127.0.0.1", SMTPPort=str(box.port), SMTPFrom="gateway@example.com", SystemName="网关, Inc.")
        notify.send_mail(state, "a@example.com; b@example.com;", "额度\r\nBcc: evil@example.com", "<p>你好</p>")
        [mail] = box.mails
    assert (mail.to, mail.sender) == (["a@example.com", "b@example.com"], "gateway@example.com")
    assert mail.subject == "额度 Bcc: evil@example.com" and mail.text.strip() == "<p>你好</p>"
    assert mail.headers["From"] == '"网关, Inc." <gateway@example.com>' and mail.headers["Message-ID"].endswith("@example.com>")
    assert mail.headers["Content-Type"].startswith("text/html") and "Date" in mail.headers and "Bcc" not in mail.headers


def test_starttls_is_taken_and_the_password_sent_behind_it(state, put, certificate):
    with Mailbox(certificate, passwords=PASSWORDS) as box:
        put(**SENDER, SMTPPort=str(box.port), SMTPCertificateCheck="false")
        notify.send_mail(state, "a@example.com", "s", "b")
        [mail] = box.mails
    assert mail.secure and mail.account == "gateway@example.com"


@pytest.fixture
def port_465() -> Iterator[Callable[[int], None]]:
    """Lets the well-known port lead to another: port_465(box.port)."""
    try:
        listening = socket.create_server(("127.0.0.1", 465))
    except OSError as error:
        pytest.skip(f"port 465 cannot be opened here: {error.strerror}")
    servers = []

    def lead(port: int) -> None:
        def pump(source: socket.socket, sink: socket.socket) -> None:
            with suppress(OSError):  # either side may hang up
                while data := source.recv(65536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)

        def pair(client: socket.socket, _: Any) -> None:
            with socket.create_connection(("127.0.0.1", port)) as there:
                gevent.joinall([gevent.spawn(pump, client, there), gevent.spawn(pump, there, client)])

        servers.append(StreamServer(listening, pair))
        servers[0].start()

    yield lead
    for server in servers:
        server.stop(timeout=1)
    listening.close()


@pytest.mark.parametrize("checked", ["true", "false"])
def test_port_465_speaks_tls_from_the_start_and_is_checked_too(state, put, certificate, port_465, checked):
    with Mailbox(certificate, implicit=True, passwords=PASSWORDS) as box:
        port_465(box.port)
        put(**SENDER, SMTPPort="465", SMTPCertificateCheck=checked)
        if checked == "true":
            with pytest.raises(MailError, match="certificate"):
                notify.send_mail(state, "a@example.com", "s", "b")
        else:
            notify.send_mail(state, "a@example.com", "s", "b")
        assert [mail.account for mail in box.mails] == ["gateway@example.com"] * (checked == "false")


def test_a_certificate_that_the_system_trusts_is_taken(state, put, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    with Mailbox(certificate, passwords=PASSWORDS) as box:
        put(**SENDER, SMTPPort=str(box.port))
        notify.send_mail(state, "a@example.com", "s", "b")
        assert box.mails[0].secure


def test_a_certificate_signed_by_nobody_is_refused(state, put, certificate):
    with Mailbox(certificate, passwords=PASSWORDS) as box:
        put(**SENDER, SMTPPort=str(box.port))
        with pytest.raises(MailError, match="certificate"):
            notify.send_mail(state, "a@example.com", "s", "b")
        assert box.mails == []


def test_a_wrong_password_is_named(state, put, certificate):
    with Mailbox(certificate, passwords={"gateway@example.com": "other"}) as box:
        put(**SENDER, SMTPPort=str(box.port), SMTPCertificateCheck="false")
        with pytest.raises(MailError, match="535"):
            notify.send_mail(state, "a@example.com", "s", "b")


def test_a_server_that_is_not_there(state, put):
    put(**SENDER, SMTPPort="1")
    with pytest.raises(MailError):
        notify.send_mail(state, "a@example.com", "s", "b")


@pytest.mark.parametrize("without", [(), ("PLAIN",), ("LOGIN",)], ids=["both", "LOGIN", "PLAIN"])
@pytest.mark.parametrize("account", ["gateway@example.com", "b\u00fcro", "\u5bc6\u7801"])
@pytest.mark.parametrize("password", ["p\u00e4ssw\u00f6rd", "\u5bc6\u7801abc", "pass"])
def test_credentials_beyond_ascii_are_sent_as_utf_8(state, put, without, account, password):
    with Mailbox(passwords={account: password}, without=without) as box:
        put(SMTPFrom="gateway@example.com", SMTPServer="127.0.0.1", SMTPPort=str(box.port))
        put(SMTPAccount=account, SMTPToken=password)
        notify.send_mail(state, "a@example.com", "s", "b")
        assert [mail.account for mail in box.mails] == [account]


@pytest.mark.parametrize("auth", ["PLAIN", "LOGIN"])
def test_any_port_speaks_tls_from_the_start_where_the_setting_says_so(state, put, certificate, auth):
    without = tuple({"PLAIN", "LOGIN"} - {auth})
    with Mailbox(certificate, implicit=True, passwords={"b\u00fcro": "p\u00e4ss"}, without=without) as box:
        put(SMTPFrom="gateway@example.com", SMTPServer="127.0.0.1", SMTPPort=str(box.port), SMTPCertificateCheck="false")
        put(SMTPAccount="b\u00fcro", SMTPToken="p\u00e4ss", SMTPSecurity="tls")
        notify.send_mail(state, "a@example.com", "s", "b")
        [mail] = box.mails
    assert mail.secure and mail.account == "b\u00fcro"


def test_a_server_without_tls_gets_no_password_unless_the_setting_says_none(state, put):
    with Mailbox(passwords=PASSWORDS) as box:
        put(**(SENDER | {"SMTPServer": "127.1"}), SMTPPort=str(box.port))
        for security, reason in (("automatic", "offers no TLS"), ("starttls", "STARTTLS"), ("tls", "SMTPSecurity")):
            put(SMTPSecurity=security)
            with pytest.raises(MailError, match=reason):
                notify.send_mail(state, "a@example.com", "s", "b")
        put(SMTPSecurity="none")
        notify.send_mail(state, "a@example.com", "s", "b")
        assert [mail.account for mail in box.mails] == ["gateway@example.com"]


SENDERS = {
    "One API <noreply@example.com>": "One API <noreply@example.com>",
    '"Gateway, Inc." <noreply@example.com>': '"Gateway, Inc." <noreply@example.com>',
    "\u7f51\u5173 <noreply@example.com>": "\u7f51\u5173 <noreply@example.com>",
    "<noreply@example.com>": "The system <noreply@example.com>",
    " noreply@example.com ": "The system <noreply@example.com>",
    "noreply@b\u00fccher.example": "The system <noreply@xn--bcher-kva.example>",
    "Shop <noreply@B\u00dcCHER.example>": "Shop <noreply@xn--bcher-kva.example>",
    "gateway@localhost": "The system <gateway@localhost>",
}


@pytest.mark.parametrize("given, header", SENDERS.items())
def test_a_sender_may_have_a_name_and_a_domain_of_other_letters(state, put, given, header):
    with Mailbox() as box:
        put(SMTPFrom=given, SystemName="The system", SMTPServer="127.0.0.1", SMTPPort=str(box.port))
        notify.send_mail(state, "a@b\u00fccher.example", "s", "b")
        [mail] = box.mails
    assert mail.headers["From"] == header and mail.to == ["a@xn--bcher-kva.example"]
    assert mail.sender == header.rpartition("<")[2].rstrip(">")


def test_an_address_of_other_letters_needs_a_server_that_takes_it(state, put):
    put(SMTPFrom="gateway@example.com", SMTPServer="127.0.0.1")
    with Mailbox() as box:
        put(SMTPPort=str(box.port))
        with pytest.raises(MailError, match="SMTPUTF8"):
            notify.send_mail(state, "j\u00f6rg@example.com", "s", "b")
    with Mailbox(utf8=True) as box:
        put(SMTPPort=str(box.port))
        notify.send_mail(state, "j\u00f6rg@example.com", "s", "b")
        assert box.mails[0].to == ["j\u00f6rg@example.com"]


@pytest.mark.parametrize(
    "key, value",
    [
        ("SMTPFrom", "One API"), ("SMTPFrom", "noreply@"), ("SMTPFrom", "a@example.com, b@example.com"),
        ("SMTPFrom", "a@example.com\r\nBcc: b@example.com"), ("SystemName", "One\r\nAPI"), ("SystemName", "One\nAPI"),
        ("SMTPServer", "smtp.example.com:465"), ("SMTPServer", "smtp://smtp.example.com"), ("SMTPSecurity", "ssl"),
        ("SMTPToken", "a\0b"),
    ],
)  # fmt: skip
def test_what_no_mail_could_be_sent_with_is_refused_when_saved(put, key, value):
    with pytest.raises(Invalid, match="give|choose|not allowed"):
        put(**{key: value})


def test_an_account_that_is_no_address_needs_a_sender(state, put):
    with pytest.raises(Refused) as refused:
        put(SMTPServer="127.0.0.1", SMTPAccount="apikey")
    assert "SMTPFrom" in refused.value.text("en") and state.settings.smtp_account == ""
    put(SMTPServer="127.0.0.1", SMTPAccount="apikey", SMTPFrom="One API <noreply@example.com>")
    with pytest.raises(Refused):
        put(SMTPFrom="")


def test_a_refused_receiver_is_told_in_the_words_of_the_server(state, put):
    with Mailbox(refuses="550 5.1.1 No such user here") as box:
        put(SMTPFrom="gateway@example.com", SMTPServer="127.0.0.1", SMTPPort=str(box.port))
        with pytest.raises(MailError, match="550 5.1.1 No such user here"):
            notify.send_test(state, "mail", "a@example.com")


def test_facts_in_mails_are_text_and_links_are_links(state, put):
    with Mailbox() as box:
        put(SMTPServer="127.0.0.1", SMTPPort=str(box.port), SMTPFrom="gateway@example.com", ServerAddress="https://gw.example/")
        link = notify.link(state, "/user/reset", email="a+b@example.com", token="t&t")
        notify.mail(state, "a@example.com", "reset", "en", link=link, minutes=10)
        notify.mail(state, "a@example.com", "verification", "zh", code="<i>", minutes=10)
        reset, verification = box.mails
    assert 'href="https://gw.example/user/reset?email=a%2Bb%40example.com&amp;token=t%26t"' in reset.text
    assert "&lt;i&gt;" in verification.text and verification.subject == "One API 邮箱验证邮件"


def test_requests_never_wait_for_a_notice(state, put, hook):
    put(WebhookUrl=hook.url)
    for number in range(50):
        notify.channel_enabled(state, number, "c")
    assert hook.asked == [], "nothing was sent while the caller worked"
    assert notify.drain()
    assert json.loads(hook.asked[0].body)["data"]["id"] == 0
