"""The status page in a real browser, before a real agent on a simulated Engine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.page.look import Look, Shown, shown, texts
from tests.page.receiver import Lines
from tests.page.stage import StagedEngine

SHOP = {"com.docker.compose.project": "shop"}


@pytest.fixture
def agent(staged: StagedEngine, tmp_path: Path) -> Iterator[Shown]:
    """An agent with a file sink."""
    with shown(staged.host, tmp_path, {"file": f"file://{tmp_path}/logs.ndjson"}) as agent:
        yield agent


def live(page: Page) -> None:
    """Wait until the tail is connected."""
    expect(page.locator("#tail-state")).to_contain_text("live")


def test_it_shows_what_goes_where(look: Look, staged: StagedEngine, agent: Shown) -> None:
    """Containers by project, each sink with its state, and that nothing was lost."""
    web = staged.start("shop-web-1", labels=SHOP)
    staged.start("loner")
    staged.write(web, *[f"line {number}" for number in range(50)])
    page = look(agent.url)
    expect(page.get_by_role("button", name="shop-web-1")).to_be_visible()
    expect(page.get_by_role("button", name="loner")).to_contain_text("nothing yet")
    expect(page.locator("#containers .project")).to_have_text(["shop", "without a project"])
    expect(page.locator(".sink")).to_have_count(1)
    expect(page.locator(".sink")).to_contain_text("50 in all")
    expect(page.locator(".sink")).to_contain_text(re.compile("idle|delivering"))
    expect(page.locator("#verdict")).to_have_text("Nothing lost")
    expect(page.locator("#losses")).to_be_hidden()
    expect(page.locator("#links path")).to_have_count(3)
    expect(page.locator("#engine")).to_contain_text("Docker Engine 28.5.2")


def test_a_container_of_a_second_ago_is_shown_and_tailed(
    look: Look, staged: StagedEngine, agent: Shown
) -> None:
    """Without a reload; chosen by a click, its lines alone are shown."""
    noisy = staged.start("noisy")
    page = look(agent.url)
    live(page)
    fresh = staged.start("fresh")
    page.get_by_role("button", name="fresh").click()
    expect(page).to_have_url(re.compile(r"#tail=fresh$"))
    live(page)
    staged.write(noisy, "from the noisy one")
    staged.write(fresh, "from the fresh one")
    expect(page.locator("#lines")).to_contain_text("from the fresh one")
    assert texts(page) == ["from the fresh one"]
    page.get_by_role("button", name="No longer only fresh").click()
    live(page)
    staged.write(noisy, "heard again")
    expect(page.locator("#lines")).to_contain_text("heard again")


def test_the_filter_works_as_one_types_and_is_in_the_address(
    look: Look, staged: StagedEngine, agent: Shown
) -> None:
    """On what is there at once, on what comes by the agent; a colleague who is sent the address sees the same."""
    web = staged.start("web")
    page = look(agent.url)
    live(page)
    staged.write(web, "GET /cart 200", "GET /tea 404", "POST /Cart 500")
    expect(page.locator("#lines .row")).to_have_count(3)
    page.keyboard.press("/")
    page.keyboard.type("cart")
    expect(page.locator("#lines .row")).to_have_count(2)
    assert texts(page) == ["GET /cart 200", "POST /Cart 500"]
    expect(page.locator("#lines mark")).to_have_text(["cart", "Cart"])
    expect(page).to_have_url(re.compile(r"#q=cart$"))
    with page.expect_request(re.compile(r"/api/tail\?q=cart$")):
        pass
    live(page)
    staged.write(web, "GET /nothing", "GET /cart again")
    expect(page.locator("#lines .row")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page.locator("#lines")).to_be_focused()
    other = look(page.url)
    expect(other.locator("#filter")).to_have_value("cart")
    live(other)
    staged.write(web, "GET /", "GET /cart for both")
    expect(other.locator("#lines .row")).to_have_count(1)
    page.locator("#filter").fill("Cart")
    expect(page.locator("#lines .row")).to_have_count(1)


def test_asking_for_something_else_is_no_gap(look: Look, staged: StagedEngine, agent: Shown) -> None:
    """However much others wrote since the last line that was shown; what is shown is shown once."""
    quiet, busy = staged.start("quiet"), staged.start("busy")
    page = look(agent.url)
    live(page)
    staged.write(quiet, "the first")
    expect(page.locator("#lines")).to_contain_text("the first")
    page.get_by_role("button", name="quiet").click()
    live(page)
    for number in range(20):
        staged.write(busy, *[f"noise {number}"] * 500)
    expect(page.locator(".sink")).to_contain_text("10,001 in all")
    page.locator("#filter").fill("the")
    with page.expect_response(re.compile(r"/api/tail\?.*q=the$")):
        pass
    live(page)
    staged.write(quiet, "the second", "and more")
    expect(page.locator("#lines")).to_contain_text("the second")
    assert texts(page) == ["the first", "the second"]
    expect(page.locator("#tail-state")).to_have_text("live")


def test_pause_keeps_the_place_and_what_came_meanwhile(
    look: Look, staged: StagedEngine, agent: Shown
) -> None:
    """Space, and space again."""
    web = staged.start("web")
    page = look(agent.url)
    live(page)
    staged.write(web, "before")
    expect(page.locator("#lines .row")).to_have_count(1)
    page.keyboard.press("Space")
    expect(page.locator("#tail-state")).to_contain_text("paused")
    staged.write(web, "meanwhile", "and more")
    expect(page.locator("#tail-state")).to_contain_text("2 new lines")
    assert texts(page) == ["before"]
    page.keyboard.press("Space")
    expect(page.locator("#lines .row")).to_have_count(3)
    assert texts(page) == ["before", "meanwhile", "and more"]


def test_lines_are_gone_through_and_unfolded_by_keys(look: Look, staged: StagedEngine, agent: Shown) -> None:
    """JSON is set out, with every digit of its numbers; what was followed is no longer, until End."""
    web = staged.start("web")
    page = look(agent.url)
    live(page)
    record = {"msg": "charged", "customer": {"id": 12345678901234567890, "tags": ["a", "b"]}}
    staged.write(web, "first", json.dumps(record), "last")
    expect(page.locator("#lines .row")).to_have_count(3)
    page.locator("#lines").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    detail = page.locator("#lines .detail")
    expect(detail).to_contain_text('"id": 12345678901234567890')
    expect(page.locator("#lines .row.at")).to_have_attribute("aria-expanded", "true")
    tops = [row["y"] for row in (each.bounding_box() for each in page.locator("#lines .row").all()) if row]
    assert max(tops) - sorted(tops)[1] > 100, "the last line is below the one that is unfolded"
    page.keyboard.press("ArrowLeft")
    expect(detail).to_have_count(0)
    staged.write(web, *[f"many {number}" for number in range(200)])
    expect(page.locator("#follow")).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator("#follow")).to_be_hidden()
    expect(page.locator("#lines")).to_contain_text("many 199")


def test_levels_have_colours_and_can_be_chosen(look: Look, staged: StagedEngine, tmp_path: Path) -> None:
    """Where they are parsed; by the agent, so that what is not asked for is not sent."""
    web = staged.start("web")
    sinks = {"file": f"file://{tmp_path}/logs.ndjson"}
    said = [json.dumps({"level": level, "msg": level}) for level in ("debug", "info", "warn", "error")]
    with shown(staged.host, tmp_path, sinks, parse="json") as agent:
        page = look(agent.url)
        live(page)
        expect(page.locator("#level")).to_be_hidden()
        staged.write(web, *said, "of no level")
        expect(page.locator("#lines .row")).to_have_count(5)
        expect(page.locator("#lines .level-error")).to_have_count(1)
        page.locator("#level").select_option("warning")
        expect(page.locator("#lines .row")).to_have_count(2)
        expect(page).to_have_url(re.compile("#level=warning$"))
        live(page)
        staged.write(web, *said)
        expect(page.locator("#lines .row")).to_have_count(4)
        page.locator("#level").select_option("")
        expect(page.locator("#lines .row")).to_have_count(7)
        page.locator("#lines .level-error .head").first.click()
        expect(page.locator("#lines .detail")).to_contain_text('"level": "error"')


def test_a_sink_goes_down_and_comes_back_and_the_page_says_so(
    look: Look, staged: StagedEngine, tmp_path: Path
) -> None:
    """In words for those who listen, too; what waited for it is delivered then."""
    web = staged.start("web")
    with (
        Lines() as receiver,
        shown(staged.host, tmp_path, {"far": f"{receiver.url}?batch_age=100ms"}) as agent,
    ):
        page = look(agent.url)
        staged.write(web, "one")
        sink = page.locator(".sink")
        expect(sink).to_contain_text("1 in all")
        receiver.go_down()
        staged.write(web, "two")
        expect(sink).to_contain_text("retrying, for")
        expect(sink).to_contain_text("Connection refused")
        expect(sink).to_contain_text("1 wait")
        expect(page.locator("#said")).to_have_text("Sink far is retrying")
        receiver.come_back()
        expect(page.locator("#said")).to_have_text("Sink far is well again", timeout=40_000)
        expect(sink).to_contain_text("2 in all")
        expect(page.locator("#verdict")).to_have_text("Nothing lost")


def test_losses_are_in_plain_view(look: Look, staged: StagedEngine, tmp_path: Path) -> None:
    """How many, why, whose."""
    web = staged.start("web")
    down = {"far": "tcp://127.0.0.1:9"}
    with shown(staged.host, tmp_path, down, state="memory", memory_max_bytes="256KiB") as agent:
        page = look(agent.url)
        expect(page.locator("#verdict")).to_have_text("Nothing lost")
        for _ in range(20):
            staged.write(web, *["x" * 1000] * 50)
        expect(page.locator("#verdict")).to_contain_text("lost")
        expect(page.locator("#losses")).to_contain_text("the spool was full")
        expect(page.locator("#losses")).to_contain_text("web → far")


def test_the_engine_s_and_the_agent_s_end_are_said(look: Look, staged: StagedEngine, agent: Shown) -> None:
    """What is no longer true is not shown as if it were."""
    page = look(agent.url)
    live(page)
    staged.go_down()
    expect(page.locator("#engine")).to_contain_text("The Engine does not answer", timeout=40_000)
    agent.stop()
    expect(page.locator("#trouble")).to_contain_text("has not answered for")
    expect(page.locator("#tail-state")).to_contain_text("trying again")
    staged.come_back()
    agent.start()
    expect(page.locator("#trouble")).to_be_hidden(timeout=40_000)
    live(page)
    expect(page.locator("#engine")).to_contain_text("Docker Engine")
    look.forget_silence()
