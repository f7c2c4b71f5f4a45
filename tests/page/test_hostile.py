"""Text that wants to be more than text, in a real browser: nothing of it runs, and what hides is shown.

That no dialog came, nothing was said in the console and nobody else was asked is looked at by the fixture `look`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.page.look import Look, Shown, shown, texts
from tests.page.receiver import Refusing
from tests.page.stage import StagedEngine

MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><a href='javascript:alert(1)'>x</a>",
    "</span></div><style>*{display:none}</style><iframe src='//198.51.100.1/'></iframe>",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} &lt;script&gt;",
]
HIDDEN = [
    (b"title \x1b]0;owned\x07 set", r"title \e]0;owned\a set"),
    (b"link \x1b]8;;javascript:alert(1)\x1b\\here", r"link \e]8;;javascript:alert(1)\e\here"),
    (b"cursor \x1b[2J\x1b[1;1Hgone", r"cursor \e[2J\e[1;1Hgone"),
    (b"nul \0 in it", r"nul \0 in it"),
    ("turned \u202eround\u202c".encode(), r"turned \u202eround\u202c"),
    ("\u2066x\u2069 zero\u200bwidth \ufeffbom".encode(), r"\u2066x\u2069 zero\u200bwidth \ufeffbom"),
    (b"c1 \xc2\x9b31m", r"c1 \x9b31m"),
    (b"bad \xff\xfe bytes", "bad \ufffd\ufffd bytes"),
    (b"over\rwritten", r"over\rwritten"),
    (b"huge \x1b[38;5;99999;1;;;;;mcolour", "huge colour"),
    (b"\x1b[31m<b onclick=alert(1)>red</b>\x1b[0m", "<b onclick=alert(1)>red</b>"),
]


@pytest.fixture
def agent(staged: StagedEngine, tmp_path: Path) -> Iterator[Shown]:
    with shown(staged.host, tmp_path, {"file": f"file://{tmp_path}/logs.ndjson"}) as agent:
        yield agent


@pytest.fixture
def page(look: Look, agent: Shown) -> Page:
    page = look(agent.url)
    expect(page.locator("#tail-state")).to_contain_text("live")
    return page


def foreign(page: Page) -> int:
    """Elements that no line has of its own."""
    return page.locator("#lines :is(script, style, img, svg, iframe, a, b, form, input)").count()


def test_markup_is_text(page: Page, staged: StagedEngine) -> None:
    """In a line, in its unfolded form, in the keys and values of JSON."""
    web = staged.start("web")
    nested = json.dumps({markup: [markup] for markup in MARKUP} | {"__proto__": {"x": 1}})
    staged.write(web, *MARKUP, nested)
    expect(page.locator("#lines .row")).to_have_count(len(MARKUP) + 1)
    assert texts(page) == [*MARKUP, nested]
    for place, text in enumerate(MARKUP):
        page.locator("#lines .row .head").nth(place).click()
        expect(page.locator("#lines .detail")).to_contain_text(text)
        assert foreign(page) == 0
        page.locator("#lines .row .head").nth(place).click()
    page.locator("#lines .row .head").last.click()
    expect(page.locator("#lines .detail")).to_contain_text('"__proto__": {')
    for text in MARKUP:
        expect(page.locator("#lines .detail .key", has_text=text)).to_have_count(1)
    assert foreign(page) == 0


@pytest.mark.parametrize("text", MARKUP)
def test_markup_in_the_address_is_text(look: Look, agent: Shown, text: str) -> None:
    """Whoever is sent a link is not handed to its author."""
    chosen = urlencode({"tail": text, "q": text, "level": text})
    page = look(f"{agent.url}#{chosen}")
    expect(page.locator("#filter")).to_have_value(text)
    expect(page.locator("#tail-state")).to_contain_text("live")
    expect(page.locator("#chosen")).to_have_text("all containers")
    assert foreign(page) == 0


def test_what_cannot_be_seen_is_shown(page: Page, staged: StagedEngine) -> None:
    """Controls other than colours, text that is turned round or of no width; the title stays ours."""
    web = staged.start("web")
    staged.write(web, *[line for line, _ in HIDDEN])
    expect(page.locator("#lines .row")).to_have_count(len(HIDDEN))
    assert texts(page) == [text for _, text in HIDDEN]
    expect(page).to_have_title("Dockferry")
    expect(page.locator("#lines .fg-1")).to_have_text("<b onclick=alert(1)>red</b>")


def test_a_script_that_got_in_all_the_same_would_not_run(look: Look, page: Page) -> None:
    """The Content-Security-Policy is in force: neither inline, nor by an attribute, nor from elsewhere."""
    for markup in (
        "<img src=/none onerror='window.ran = 1'>",
        "<a href='javascript:void(window.ran = 1)'>x</a>",
        "<iframe srcdoc='<script>parent.ran = 1</script>'></iframe>",
    ):
        page.evaluate("markup => document.body.insertAdjacentHTML('beforeend', markup)", markup)
    page.evaluate("document.querySelector('body > a[href^=javascript]').click()")
    for script in ({"text": "window.ran = 1"}, {"src": "data:text/javascript,window.ran=1"}):
        page.evaluate(
            """attributes => new Promise(done => {
                const script = Object.assign(document.createElement("script"), attributes);
                script.onload = script.onerror = done;
                document.body.append(script);
                setTimeout(done, 200);
            })""",
            script,
        )
    assert page.evaluate("window.ran") is None
    refused = [each for each in look.noted if "Content Security Policy" in each]
    assert len(refused) >= 4, look.noted
    look.noted.clear()


def test_colours_are_colours(page: Page, staged: StagedEngine) -> None:
    """Of the 16 by class, so that they can be read on either ground; others as they are."""
    web = staged.start("web")
    staged.write(
        web,
        "\x1b[1;32mgreen\x1b[39m bold\x1b[0m \x1b[38;2;1;2;3mexact\x1b[0m \x1b[48;5;196mground\x1b[m none",
    )
    row = page.locator("#lines .row .text")
    expect(row).to_have_text("green bold exact ground none")
    expect(row.locator(".bold.fg-2")).to_have_text("green")
    expect(row.get_by_text("exact")).to_have_css("color", "rgb(1, 2, 3)")
    expect(row.get_by_text("ground")).to_have_css("background-color", "rgb(255, 0, 0)")


def test_a_line_of_a_megabyte_is_cut(page: Page, staged: StagedEngine) -> None:
    """And says how long it was; the page goes on."""
    web = staged.start("web")
    staged.write(web, b"a" * (1 << 20), "after it")
    expect(page.locator("#lines")).to_contain_text("after it")
    page.locator("#lines .row .head").first.click()
    expect(page.locator("#lines .detail")).to_contain_text(re.compile("cut: the line has (1 MiB|1,024 KiB)"))
    assert len(page.locator("#lines .detail").inner_text()) < 20_000


def test_a_receiver_s_answer_is_text(look: Look, staged: StagedEngine, tmp_path: Path) -> None:
    """What it refused, and why, among the dead letters."""
    web = staged.start("web")
    why = "no <img src=x onerror=alert(1)> \x1b]0;x\x07 here"
    with Refusing(why) as receiver:
        sinks = {"picky": f"{receiver.url}?batch_age=100ms"}
        with shown(staged.host, tmp_path, sinks) as agent:
            page = look(agent.url)
            staged.write(web, "first", "<script>alert(2)</script>")
            expect(page.locator(".sink")).to_contain_text("2 refused")
            page.get_by_role("button", name="Dead letters of picky").click()
            letters = page.locator("#letters-list li")
            expect(letters).to_have_count(2)
            expect(letters.first).to_contain_text("<script>alert(2)</script>")
            expect(letters.first).to_contain_text("no <img src=x onerror=alert(1)>")
            assert page.locator("#letters-list :is(img, script)").count() == 0
