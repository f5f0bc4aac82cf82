"""Small markup that is made without the template engine, and what a palette asks at every letter."""

from typing import Any

from flask import Flask
from sqlalchemy import event

from oneapi.pages import pieces


def test_names_in_a_row_cannot_bring_markup(app: Flask) -> None:
    made = pieces.chips(["a", "<b>&c"])
    assert made == '<span class="chip plain">a</span><span class="chip plain">&lt;b&gt;&amp;c</span>'
    assert pieces.chips([]) == ""


def test_links_escape_their_addresses(app: Flask) -> None:
    made = pieces.hx('/x?a="1"&b')
    assert made.startswith('href="/x?a=&#34;1&#34;&amp;b" hx-get="/x?a=&#34;1&#34;&amp;b" hx-target="#list"')
    assert made.endswith(' hx-push-url="true"') and "push" not in pieces.hx("/x", push=False)
    assert 'hx-push-url="/y?z=&#34;"' in pieces.drawer("/x", '/y?z="') and "push" not in pieces.drawer("/x")


def test_the_last_tests_are_told_and_drawn(app: Flask) -> None:
    with app.test_request_context(headers={"Accept-Language": "zh"}):
        some, none = pieces.health("101"), pieces.health(None)
    with app.test_request_context(headers={"Accept-Language": "en"}):
        assert 'aria-label="2 of the last 3 tests succeeded"' in pieces.health("101")
        assert pieces.health("10" * 15).count("<rect") == 20
    assert some.count('class="none"') == 17 and some.count('class="bad"') == 1 and "最近" in some
    assert none.count('class="none"') == 20


def test_texts_of_templates_follow_the_reader_and_keep_their_percent_signs(app: Flask) -> None:
    text = app.jinja_env.from_string('{{ _("Channels") }} {{ _("%(n)s left", n="<") }} {{ _("100%% sure") }}')
    with app.test_request_context(headers={"Accept-Language": "en"}):
        english = text.render()
    with app.test_request_context(headers={"Accept-Language": "zh"}):
        chinese = text.render()
    assert english == "Channels &lt; left 100% sure" and chinese.startswith("渠道 ") and "&lt;" in chinese


def test_a_palette_counts_nothing_and_reads_no_secret(browse: Any, root: Any, channel: Any, state: Any) -> None:
    channel(name="Findable", key="sk-hidden")
    browser, asked = browse(root), []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    event.listen(state.databases.engine, "before_cursor_execute", note)
    said = browser.ask("/palette?q=findable", "found").text
    event.remove(state.databases.engine, "before_cursor_execute", note)
    of_channels = [statement for statement in asked if "FROM channels" in statement and "LIKE" in statement.upper()]
    assert "Findable" in said and len(of_channels) == 1
    assert not [s for s in of_channels if "count(" in s or "channels.key" in s or "channels.models" in s]
