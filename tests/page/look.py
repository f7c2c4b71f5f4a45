"""The page as somebody looks at it, and what must not happen behind their back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Dialog, Page, Request, expect

from tests.engine.shipping import Agent
from tests.receivers.program import free_port

#: A busy machine takes its time.
expect.set_options(timeout=20_000)

CHROMIUM: Final = Path("/usr/bin/chromium")
#: What Chromium says of itself, or of an answer that a test asked for.
_HARMLESS: Final = ("Failed to load resource: the server responded with a status of 401",)


class Look:
    """Opens pages, and notes what they say, show and ask for."""

    def __init__(self, browser: Browser, stack: ExitStack) -> None:
        self.noted: list[str] = []
        self._browser, self._stack = browser, stack

    def __call__(self, url: str, *, width: int = 1280, height: int = 860, **options: Any) -> Page:  # noqa: ANN401
        """A page of its own, with what `Browser.new_context` takes."""
        context = self._browser.new_context(viewport={"width": width, "height": height}, **options)
        self._stack.callback(context.close)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: self._note(f"console {said.type}", said.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self._asked(request, url))
        page.goto(url)
        return page

    def was_calm(self) -> None:
        """Nothing was said in the console, no dialog came, nothing was asked of anybody else."""
        assert self.noted == []

    def forget_silence(self) -> None:
        """The agent was down: a browser says so of each request."""
        self.noted = [each for each in self.noted if "net::ERR_" not in each]

    def _dismiss(self, dialog: Dialog) -> None:
        self._note("dialog", dialog.message)
        dialog.dismiss()

    def _note(self, what: str, text: str) -> None:
        if what != "console verbose" and not text.startswith(_HARMLESS):
            self.noted.append(f"{what}: {text}")

    def _asked(self, request: Request, url: str) -> None:
        origin = "/".join(url.split("/")[:3])
        if not request.url.startswith((f"{origin}/", "data:")):
            self.noted.append(f"asked {request.url}")


def texts(page: Page) -> list[str]:
    """The lines in view, top to bottom."""
    rows = (
        "rows => rows.map(row => [row.getBoundingClientRect().top, row.querySelector('.text').textContent])"
    )
    found = page.locator("#lines .row").evaluate_all(rows)
    return [text for _, text in sorted(found)]


class Shown(Agent):
    """An agent whose page is at `url`."""

    url: str


@contextmanager
def shown(
    host: str, directory: Path, sinks: Mapping[str, str], *, address: str = "127.0.0.1", **settings: str
) -> Iterator[Shown]:
    """`dockferry run`, connected to the Engine."""
    port = free_port()
    with Shown(host, directory, sinks, http=f"{address}:{port}", shutdown_grace="1s", **settings) as agent:
        agent.url = f"http://127.0.0.1:{port}/"
        yield agent
