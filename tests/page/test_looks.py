"""How the page looks: nothing juts out, everything can be read; pictures to look at are in the test's directory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.page.look import Look, Shown, shown
from tests.page.receiver import Refusing
from tests.page.stage import StagedEngine

#: Text whose contrast with its ground is less than WCAG 2.2 asks for (1.4.3, AA), as `text: ratio`.
FAINT = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const light = ([r, g, b]) => [r, g, b].map(part => part / 255)
    .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const text = walk.currentNode.data.trim();
    const box = element.getBoundingClientRect();
    if (!text || box.width < 2 || element.closest("noscript, .unseen, .skip")) continue;
    const style = getComputedStyle(element);
    if (style.visibility === "hidden" || Number(style.opacity) < 1) continue;
    const [one, other] = [light(rgba(style.color)), light(ground(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(found)];
}
"""
#: Controls without a name.
UNNAMED = """
() => [...document.querySelectorAll("button, input, select")]
  .filter(each => !each.closest("dialog, [hidden]"))
  .filter(each => !each.textContent.trim() && !each.ariaLabel && !each.labels?.length)
  .map(each => each.outerHTML)
"""
OUTLINE = "() => getComputedStyle(document.activeElement).outlineStyle"
LEVELS = ("info", "warning", "error", "debug")


@pytest.fixture
def agent(staged: StagedEngine, tmp_path: Path) -> Iterator[Shown]:
    """A small shop, and sinks in every state; levels are parsed, where the agent can."""
    with Refusing("mapping error: field [amount] is no number") as picky:
        sinks = {
            "files": f"file://{tmp_path}/logs.ndjson",
            "picky": f"{picky.url}?batch_age=100ms",
            "away": "tcp://127.0.0.1:9",
        }
        with shown(staged.host, tmp_path, sinks) as agent:
            yield agent


def play(staged: StagedEngine) -> None:
    """Something to look at."""
    shop = {"com.docker.compose.project": "shop"}
    web, api = (staged.start(f"shop-{name}-1", labels=shop) for name in ("web", "api"))
    for number in range(9):
        staged.start(f"worker-{number}")
    staged.write(
        web, *[f'203.0.113.7 "GET /product/{number} HTTP/1.1" 200 {number * 37}' for number in range(30)]
    )
    for number in range(12):
        record = {"level": LEVELS[number % 4], "msg": f"charge {number} settled", "amount": number * 3}
        staged.write(api, json.dumps(record))
    staged.write(
        web,
        "\x1b[32mok\x1b[0m \x1b[1;31mfailed\x1b[0m \x1b[33;44mboth\x1b[0m \x1b]0;title\x07 nul \0",
        "x " * 400,
    )
    for code in range(8):
        staged.write(web, f"\x1b[{30 + code}mforeground {code}\x1b[0m \x1b[{40 + code}mground {code}\x1b[0m")


def settled(page: Page) -> None:
    """Everything that is to be seen is there."""
    expect(page.locator("#lines")).to_contain_text("ground 7")
    expect(page.locator(".sink")).to_have_count(3)
    expect(page.locator(".sink", has_text="picky")).to_contain_text("refused")
    expect(page.locator(".sink", has_text="away")).to_contain_text("retrying")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1360, 900, 390])
def test_all_of_it_can_be_read(
    look: Look, staged: StagedEngine, agent: Shown, scheme: str, width: int
) -> None:
    """In both themes, on a phone too."""
    page = look(agent.url, width=width, color_scheme=scheme)
    pictures = agent.state.parent
    expect(page.locator("#tail-state")).to_contain_text("live")
    play(staged)
    settled(page)
    page.get_by_role("button", name="shop-web-1").click()
    page.locator("#filter").fill("o")
    expect(page.locator("#lines mark").first).to_be_visible()
    assert page.evaluate(FAINT) == []
    page.screenshot(path=pictures / f"{scheme}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for title in ("Dead letters of picky", "Keys"):
        page.get_by_role("button", name=title).click()
        expect(page.locator("dialog[open]")).to_be_visible()
        assert page.evaluate(FAINT) == []
        page.screenshot(path=pictures / f"{scheme}-{width}-{title.split()[0]}.png")
        page.locator("dialog[open] [data-close]").click()


def test_the_theme_can_be_chosen_and_is_kept(look: Look, agent: Shown) -> None:
    """System, light, dark; over a reload."""
    page = look(agent.url, color_scheme="dark")
    shade = page.locator("html")
    expect(shade).to_have_attribute("data-shade", "dark")
    button = page.get_by_role("button", name="Theme")
    button.click()
    expect(button).to_have_text("Theme: light")
    expect(shade).to_have_attribute("data-shade", "light")
    page.reload()
    expect(shade).to_have_attribute("data-shade", "light")
    button.click()
    expect(shade).to_have_attribute("data-shade", "dark")


def test_everything_can_be_reached_by_keys_and_has_a_name(
    look: Look, staged: StagedEngine, agent: Shown
) -> None:
    """What has the focus shows it; landmarks and controls are named for those who listen."""
    page = look(agent.url)
    expect(page.locator("#tail-state")).to_contain_text("live")
    play(staged)
    settled(page)
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement !== document.body"):
            assert page.evaluate(OUTLINE) != "none"
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert {"theme", "help", "filter", "pause", "clear", "lines"} <= set(reached)
    assert any("shop-web-1" in each for each in reached)
    assert page.evaluate(UNNAMED) == []
    for name in ("What goes where", "Containers", "Sinks", "The agent", "Live tail"):
        assert page.get_by_role("region", name=name).count() >= 1, name
    expect(page.locator("[aria-live], [role=status], [role=alert]")).to_have_count(3)
