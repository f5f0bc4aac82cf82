"""The first hour of a new site, from the factory password to managing people: once with scripts, once with none.

Only the playground needs scripts; without them it says so, and the request comes from a program.
"""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator

import pytest
import served as installations
from pages import PAGES, PUBLIC
from patience import PATIENCE, await_scripts
from playwright.sync_api import Browser, Page, expect


@pytest.fixture(params=[True, False], ids=["scripts", "plain"])
def scripts(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def fresh() -> Iterator[installations.Site]:
    """A site on which nobody has done anything yet."""
    with installations.served(filled=False) as made:
        yield made


@pytest.fixture
def page(chromium: Browser, fresh: installations.Site, scripts: bool) -> Iterator[Page]:
    context = chromium.new_context(base_url=fresh.url, java_script_enabled=scripts, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    made, complaints = context.new_page(), []
    if scripts:
        await_scripts(made)
    made.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") and "of 422" not in m.text else None)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    yield made
    context.close()
    assert complaints == []


def chips(page: Page, name: str, values: str, *, scripts: bool) -> None:
    """Type into a field of many values: chips with scripts, one a line without."""
    if not scripts:
        page.fill(f"#f-{name}", values.replace(",", "\n"))
        return
    for value in values.split(","):
        page.fill(f"#f-{name}-input", value)
        page.press(f"#f-{name}-input", "Enter")


def opened(page: Page, path: str, form: str, *, scripts: bool) -> str:
    """Open a form: in the drawer over its list, or as a page of its own; the selector within which it lies."""
    page.goto(path if scripts else form)
    where = "#drawer" if scripts else "main"
    expect(page.locator(f"{where} form.sheet")).to_be_visible()
    return where


def come_in(page: Page) -> None:
    page.goto("/login")
    page.fill("input[name=username]", "root")
    page.fill("input[name=password]", "123456")
    page.click("form[action='/login'] button[type=submit]")
    expect(page).to_have_url(re.compile("/password$"))
    page.goto("/channel")
    expect(page).to_have_url(re.compile("/password$"))  # there is no way around it
    page.fill("input[name=password]", installations.PASSWORD)
    page.fill("input[name=confirm]", installations.PASSWORD)
    page.click("form[action='/password'] button[type=submit]")
    expect(page).to_have_url(re.compile("/dashboard$"))


def add_channel(page: Page, vendor: str, *, scripts: bool) -> None:
    where = opened(page, "/channel?add=1", "/channel/add?type=1", scripts=scripts)
    page.fill("#f-name", "First channel")
    page.fill("#f-key", "sk-good")
    page.fill("#f-base_url", vendor)
    chips(page, "models", "gpt-4o-mini,gpt-4o", scripts=scripts)
    page.click(f"{where} .sheet-foot button.primary")
    expect(page.locator("#channel-1")).to_contain_text("First channel")


def price_a_new_model(page: Page, *, scripts: bool) -> None:
    """Save the channel with a model that no catalogue knows: the form lists it and stores what it shall cost."""
    where = opened(page, "/channel?edit=1", "/channel/edit/1", scripts=scripts)
    chips(page, "models", "gpt-4o-mini,gpt-4o,brand-new", scripts=scripts)
    page.click(f"{where} .sheet-foot button.primary")
    expect(page.locator(f"{where} #unpriced")).to_contain_text("brand-new")
    page.select_option("#f-unpriced-choice-0", "free")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.click(f"{where} .sheet-foot button.primary")
    page.goto("/channel/edit/1")
    expect(page.locator("#unpriced")).to_have_count(0)
    page.goto("/price?show=set")
    expect(page.locator("#list tbody tr", has_text="brand-new")).to_have_count(1)


def add_own_server(page: Page, vendor: str, *, scripts: bool) -> None:
    """Add a server at a private address, with the settings of a new site: it is saved at once, and its models are free."""
    where = opened(page, "/channel?add=50", "/channel/add?type=50", scripts=scripts)
    page.fill("#f-name", "Own server")
    page.fill("#f-key", "sk-good")
    page.fill("#f-base_url", f"{vendor}/v1")
    chips(page, "models", "llama3", scripts=scripts)
    page.click(f"{where} .sheet-foot button.primary")
    expect(page.locator("#channel-2")).to_contain_text("Own server")
    page.goto("/channel/edit/2")
    expect(page.locator("#unpriced")).to_contain_text("free")


def try_channel(page: Page) -> None:
    page.click("#channel-1 [title^='Test'], #channel-1 form[action='/channel/1/test'] button")
    expect(page.locator("#channel-1 .health")).to_have_attribute("aria-label", re.compile("1 of the last"))


def make_key(page: Page, *, scripts: bool) -> str:
    where = opened(page, "/token?add=1", "/token/add", scripts=scripts)
    page.fill("#f-name", "first key")
    page.click(f"{where} form.sheet button[type=submit]")
    expect(page.locator(f"{where} .secret")).to_contain_text("sk-")
    found = re.search(r"sk-\w{48}", page.inner_html(f"{where} .secret"))
    assert found is not None
    return found[0]


def ask(page: Page, url: str, key: str, *, scripts: bool) -> None:
    """Send a streamed request: from the playground, or where it says that it needs scripts, from a program."""
    page.goto("/playground")
    if scripts:
        page.select_option("#f-key", page.locator("#f-key option", has_text="first key").get_attribute("value"))
        page.fill(".compose textarea", "hi")
        page.click(".compose button:has-text('Send')")
        expect(page.locator(".turns")).to_contain_text("Hello from the vendor.")
        expect(page.locator(".turns a:has-text('Log entry')")).to_be_visible()
        return
    expect(page.locator("main .callout").first).to_contain_text("needs JavaScript")
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), head)) as answer:
        assert b"vendor" in answer.read()


def see_the_cost(page: Page) -> None:
    page.goto("/log?type=2")
    expect(page.locator("tr[id^=log-]")).to_have_count(1)
    page.click("tr[id^=log-] a >> nth=0")
    expect(page.locator("#detail .cost .total")).to_contain_text("17")  # tokens, as the vendor counted them
    expect(page.locator("#detail")).to_contain_text("first key")
    expect(page).to_have_url(re.compile("id="))


def redeem(page: Page, *, scripts: bool) -> None:
    where = opened(page, "/redemption?add=1", "/redemption/add", scripts=scripts)
    page.fill("#f-name", "welcome")
    page.fill("#f-count", "2")
    page.click(f"{where} form.sheet button.primary")
    code = page.inner_text("#made-codes").split()[0]
    page.goto("/topup")
    for expected in ("false", "true"):  # the second time it is used
        page.fill("#f-key", code)
        page.click("form[action='/topup'] button[type=submit]")
        if expected == "true":
            expect(page.locator("#f-key")).to_have_attribute("aria-invalid", "true")
        else:
            expect(page.locator("main")).to_contain_text("Redeemed a code")
    page.goto("/redemption?status=3")
    expect(page.locator("#list tbody tr")).to_have_count(1)


def change_a_price(page: Page, *, scripts: bool) -> None:
    where = opened(page, "/price?edit=gpt-4o-mini", "/price/edit?model=gpt-4o-mini", scripts=scripts)
    page.fill("#f-model_ratio", "0.5")
    page.click(f"{where} .sheet-foot button.primary")
    expect(page.locator("#list tbody tr", has_text="gpt-4o-mini").first).to_contain_text("0.5")
    page.goto("/price?show=set")
    expect(page.locator("#list tbody tr")).to_have_count(1)


def manage_somebody(page: Page, *, scripts: bool) -> None:
    where = opened(page, "/user?add=1", "/user/add", scripts=scripts)
    page.fill("#f-username", "alice")
    page.fill("#f-password", installations.PASSWORD)
    page.click(f"{where} .sheet-foot button.primary")
    expect(page.locator("#user-2")).to_contain_text("alice")
    page.goto("/user/2/balance")
    page.fill("#f-quota", "500000")
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.click("form.sheet .sheet-foot button.primary")
    page.goto("/user?q=alice")
    expect(page.locator("#user-2")).to_contain_text("$1.00")
    page.click("#user-2 .switch")
    if not scripts:
        page.click("#user-2 button:has-text('Set')")
    expect(page.locator("#user-2")).to_have_class(re.compile("off"))
    page.goto("/user?status=2")
    expect(page.locator("#list tbody tr")).to_have_count(1)


def test_the_first_hour_of_a_site(page: Page, fresh: installations.Site, scripts: bool) -> None:
    come_in(page)
    add_channel(page, fresh.vendor, scripts=scripts)
    try_channel(page)
    key = make_key(page, scripts=scripts)
    ask(page, fresh.url, key, scripts=scripts)
    see_the_cost(page)
    redeem(page, scripts=scripts)
    change_a_price(page, scripts=scripts)
    manage_somebody(page, scripts=scripts)
    price_a_new_model(page, scripts=scripts)
    add_own_server(page, fresh.vendor, scripts=scripts)


def test_every_page_stands_without_scripts(open_page: Callable[..., Page]) -> None:
    """Its title is there, nothing in it waits for a script, and what only scripts can do is not offered."""
    troubles = []
    for user, paths in (("root", PAGES), ("", PUBLIC)):
        page = open_page(user=user, scripts=False)
        for name, path in paths.items():
            answer = page.goto(path)
            if answer is None or answer.status != (404 if name == "missing" else 200):
                troubles.append(f"{name}: {answer and answer.status}")
            if page.locator("h1:visible").count() != 1:
                troubles.append(f"{name}: no title")
            if page.locator(".script-only:visible").count():
                troubles.append(f"{name}: {page.locator('.script-only:visible').first.inner_text()}")
    assert troubles == []
