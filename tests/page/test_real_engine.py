"""The page before an agent on a real Docker Engine."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.engine.containers import RunContainer
from tests.engine.dockerd import Engine
from tests.page.look import Look, shown


@pytest.mark.engine
def test_a_container_of_a_real_engine_is_shown_and_tailed(
    look: Look, engine: Engine, run_container: RunContainer, tmp_path: Path
) -> None:
    """Started while the page is open; chosen, filtered, and gone when it is removed."""
    name = f"page-{uuid4().hex[:8]}"
    sinks = {"file": f"file://{tmp_path}/logs.ndjson"}
    with shown(engine.host, tmp_path, sinks, include=f"name={name}") as agent:
        page = look(agent.url)
        expect(page.locator("#tail-state")).to_contain_text("live")
        expect(page.locator("#containers")).to_contain_text("None is read yet")
        script = "n=0; while :; do n=$((n + 1)); echo line $n; echo odd $n >&2; usleep 100000; done"
        container = run_container(script, name=name)
        button = page.get_by_role("button", name=name, exact=False).first
        expect(button).to_contain_text("/s")
        button.click()
        page.locator("#filter").fill("odd")
        expect(page.locator("#lines")).to_contain_text("odd 15")
        assert "line" not in page.locator("#lines").inner_text()
        expect(page.locator("#verdict")).to_have_text("Nothing lost")
        container.remove(force=True)
        expect(page.locator("#containers")).to_contain_text("None is read yet")
