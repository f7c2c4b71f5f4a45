"""A flood: the page is there all the while, and needs no more memory for it."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.bench.processes import memory_bytes
from tests.page.look import Look, shown
from tests.page.stage import StagedEngine

LINES_PER_S, SECONDS = 5_000, 30
MOST_BYTES = 300 << 20


def renderers_bytes(browser: Browser) -> int:
    """The resident memory of the largest of the browser's processes that show pages."""
    told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    pids = [process["id"] for process in told["processInfo"] if process["type"] == "renderer"]
    return max(memory_bytes(Path(f"/proc/{pid}/status").read_text(), "VmRSS") for pid in pids)


def heap_bytes(page: Page) -> int:
    """The JavaScript heap in use."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return int(next(each["value"] for each in metrics if each["name"] == "JSHeapUsedSize"))


def test_half_a_minute_of_5000_lines_a_second(
    look: Look, browser: Browser, staged: StagedEngine, tmp_path: Path
) -> None:
    """All are delivered; the page shows the newest, says how many it skipped, and answers to keys meanwhile."""
    web = staged.start("web")
    with shown(staged.host, tmp_path, {"file": f"file://{tmp_path}/logs.ndjson"}) as agent:
        page = look(agent.url)
        expect(page.locator("#tail-state")).to_contain_text("live")
        for _ in range(3):
            staged.write_at(web, LINES_PER_S, SECONDS / 3)
            page.keyboard.press("Space")
            expect(page.locator("#tail-state")).to_contain_text("paused")
            page.keyboard.press("Space")
            assert page.locator("#lines .row").count() < 200
        staged.write(web, "the last of all")
        expect(page.locator("#lines")).to_contain_text("the last of all")
        expect(page.locator("#tail-state")).to_contain_text("lines skipped")
        expect(page.locator("#verdict")).to_have_text("Nothing lost")
        told = page.locator("#tail-state").inner_text()
        skipped = int(re.sub(r"[^\d]", "", told))
        written = LINES_PER_S * SECONDS
        assert 0.3 * written < skipped < 0.9 * written, told
        heap, resident = heap_bytes(page), renderers_bytes(browser)
        assert max(heap, resident) < MOST_BYTES, f"heap {heap >> 20} MiB, renderer {resident >> 20} MiB"
