"""Who may look: the token, and what is shown without one where others can reach it."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.page.look import Look, shown
from tests.page.stage import StagedEngine

TOKEN = "correct horse battery"


def test_the_token_is_asked_for_and_kept_until_the_tab_is_closed(
    look: Look, staged: StagedEngine, tmp_path: Path
) -> None:
    """A wrong one is said so; a reload asks no more, another tab does."""
    web = staged.start("web")
    sinks = {"file": f"file://{tmp_path}/logs.ndjson"}
    with shown(staged.host, tmp_path, sinks, http_token=TOKEN) as agent:
        page = look(agent.url)
        field = page.get_by_role("textbox", name="Token")
        expect(field).to_be_visible()
        assert page.locator(".sink").count() == 0
        field.fill("a wrong one, of course")
        field.press("Enter")
        expect(page.locator("#login-error")).to_have_text("That is not the token.")
        field.fill(TOKEN)
        field.press("Enter")
        expect(page.locator("#login")).to_be_hidden()
        expect(page.locator("#tail-state")).to_contain_text("live")
        staged.write(web, "for those who may")
        expect(page.locator("#lines")).to_contain_text("for those who may")
        page.reload()
        expect(page.locator(".sink")).to_have_count(1)
        expect(page.locator("#login")).to_be_hidden()
        assert TOKEN not in page.url
        other = look(agent.url)
        expect(other.get_by_role("textbox", name="Token")).to_be_visible()


def test_without_a_token_lines_are_not_shown_to_everybody(
    look: Look, staged: StagedEngine, tmp_path: Path
) -> None:
    """The agent listens everywhere: the flow is shown as its facts always were, and why there is no tail."""
    web = staged.start("web")
    sinks = {"file": f"file://{tmp_path}/logs.ndjson"}
    with shown(staged.host, tmp_path, sinks, address="0.0.0.0") as agent:
        page = look(agent.url)
        staged.write(web, "a secret")
        expect(page.locator(".sink")).to_contain_text("1 in all")
        expect(page.locator("#nothing")).to_contain_text("set DOCKFERRY_HTTP_TOKEN_FILE")
        page.get_by_role("button", name=re.compile("Dead letters")).click()
        expect(page.locator("#letters-about")).to_contain_text("set DOCKFERRY_HTTP_TOKEN_FILE")
        assert "a secret" not in page.content()


def test_a_page_of_another_origin_learns_nothing(
    browser: Browser, staged: StagedEngine, tmp_path: Path
) -> None:
    """It can neither read an answer, nor run the page's scripts as its own, nor put the page into a frame."""
    with shown(staged.host, tmp_path, {"file": f"file://{tmp_path}/logs.ndjson"}) as agent:
        page = browser.new_page()
        page.route("http://other.example/", lambda route: route.fulfill(body="<p>", content_type="text/html"))
        page.goto("http://other.example/")
        for path in ("api/state", "metrics", "api/tail", "page/main.js"):
            for mode in ("cors", "no-cors"):
                asked = f"fetch('{agent.url}{path}', {{mode: '{mode}'}}).then(() => 'read', () => 'refused')"
                assert page.evaluate(asked) == "refused", (path, mode)
        framed = f"""new Promise(done => {{
            const frame = document.createElement("iframe");
            frame.onload = () => done(frame.contentDocument === null ? "closed" : "open");
            frame.src = "{agent.url}";
            document.body.append(frame);
        }})"""
        page.evaluate(framed)
        assert page.frames[1].locator("#hub").count() == 0
        page.close()
