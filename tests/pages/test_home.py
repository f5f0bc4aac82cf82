"""What visitors see, and the administrator's texts on every page."""

from typing import Any

import pytest
from flask.testing import FlaskClient

PATHS = {"/": "HomePageContent", "/about": "About", "/notice": "Notice"}


def policy(answer: Any) -> dict[str, str]:
    rules = (rule.partition(" ") for rule in answer.headers["Content-Security-Policy"].split("; "))
    return {name: sources for name, _blank, sources in rules}


@pytest.mark.parametrize(("path", "key"), PATHS.items())
def test_markdown_of_the_site_is_shown_without_what_could_run(client: FlaskClient, setting: Any, path: str, key: str) -> None:
    setting(**{key: "**bold** <script>alert(1)</script><img src=x onerror=alert(2)><a href='javascript:alert(3)'>x</a>"})
    said = client.get(path).text
    assert "<strong>bold</strong>" in said
    assert "alert(" not in said


@pytest.mark.parametrize(("path", "key"), PATHS.items())
def test_an_address_is_shown_in_a_sandbox_that_the_policy_names(client: FlaskClient, setting: Any, path: str, key: str) -> None:
    setting(**{key: "https://docs.example.com/start?x=1"})
    answer = client.get(path)
    frame = answer.text.partition("<iframe")[2].partition(">")[0]
    assert 'src="https://docs.example.com/start?x=1"' in frame and "sandbox=" in frame and "allow-top-navigation" not in frame
    assert policy(answer)["frame-src"] == "https://docs.example.com"


@pytest.mark.parametrize(
    "text", ["http://plain.example.com", "https://a.example 'unsafe-inline'", "https://a.example;script-src *"]
)
def test_only_one_https_address_is_framed(client: FlaskClient, setting: Any, text: str) -> None:
    setting(About=text)
    answer = client.get("/about")
    assert "<iframe" not in answer.text and "frame-src" not in policy(answer)


def test_pages_without_pictures_allow_none_from_elsewhere(client: FlaskClient, setting: Any) -> None:
    setting(Footer="by us")
    assert policy(client.get("/login"))["img-src"] == "'self' data:"


def test_the_logo_and_pictures_of_the_notice_may_load_everywhere(client: FlaskClient, setting: Any) -> None:
    setting(Logo="https://cdn.example.com/logo.png")
    assert policy(client.get("/login"))["img-src"] == "'self' data: https://cdn.example.com"
    setting(Notice="![plan](https://elsewhere.example.com/plan.png)")
    assert "https:" in policy(client.get("/login"))["img-src"].split()


@pytest.mark.parametrize("logo", ["https://a.example 'unsafe-eval'/x.png", "https://a.example;x/y.png", "javascript:alert(1)"])
def test_a_strange_logo_does_not_widen_the_policy(client: FlaskClient, setting: Any, logo: str) -> None:
    setting(Logo=logo)
    assert policy(client.get("/login"))["img-src"] == "'self' data:"


def test_a_notice_rings_for_visitors_too(client: FlaskClient, setting: Any) -> None:
    assert "data-notice" not in client.get("/").text
    setting(Notice="We move on Sunday.")
    assert "We move on Sunday." in client.get("/").text


def test_the_chat_is_offered_where_the_site_has_one(browse: Any, alice: Any, setting: Any) -> None:
    browser = browse(alice)
    assert 'href="/chat"' not in browser.get("/dashboard").text and browser.get("/chat").status_code == 404
    setting(ChatLink="https://chat.example.com")
    assert 'href="/chat"' in browser.get("/dashboard").text
    assert policy(browser.get("/chat"))["frame-src"] == "https://chat.example.com"


def test_someone_signed_in_goes_to_the_overview(browse: Any, alice: Any) -> None:
    answer = browse(alice).get("/")
    assert (answer.status_code, answer.location) == (303, "/dashboard")


@pytest.mark.parametrize(
    ("old", "new"), [("/panel/token", "/token"), ("/panel/profile", "/user/edit"), ("/detail", "/dashboard")]
)
def test_addresses_of_the_old_project_lead_on(client: FlaskClient, old: str, new: str) -> None:
    answer = client.get(old)
    assert (answer.status_code, answer.location) == (301, new)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("ThemeAccent", "#4f46e5", "--accent: #4f46e5"),
        ("ThemeRadius", "4px", "--radius: 4px"),
        ("ThemeFont", "Lora", "--font: Lora"),
    ],
)
def test_the_sites_theme_is_a_stylesheet(client: FlaskClient, setting: Any, key: str, value: str, rule: str) -> None:
    setting(**{key: value})
    assert rule in client.get("/theme.css").text


@pytest.mark.parametrize("value", ["red; } body { display: none", "url(https://evil.example)", "expression(alert(1))"])
def test_the_theme_takes_nothing_but_a_colour(client: FlaskClient, setting: Any, value: str) -> None:
    setting(ThemeAccent=value)
    assert "--accent:" not in client.get("/theme.css").text


def test_visitors_see_what_runs_here_and_how_one_signs_in(client: FlaskClient, setting: Any) -> None:
    setting(GitHubClientId="x", GitHubClientSecret="y", GitHubOAuthEnabled=True)
    said = client.get("/").get_data(as_text=True)
    assert "version 1.0.0" in said and "a password, GitHub" in said


def test_the_policy_names_a_host_of_other_letters_in_ascii(client: FlaskClient, setting: Any) -> None:
    setting(About="https://b\u00fccher.example/about")
    assert "https://xn--bcher-kva.example" in policy(client.get("/about"))["frame-src"]
