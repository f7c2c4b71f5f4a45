"""Fixtures: a browser, the page in it, and an agent on a simulated Engine or a real one.

Playwright's loop runs in this thread as long as the browser does: so it lives for a module, none of which has a test
that wants a loop of its own.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.engine.conftest import engine, run_container  # noqa: F401  (fixtures, for the real Engine)
from tests.page.look import CHROMIUM, Look
from tests.page.stage import StagedEngine
from tests.receivers.program import absent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; the rest of the machine is not to be reached from it."""
    if not CHROMIUM.exists():
        absent(str(CHROMIUM))
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Opens the page; at the end nothing has run or been asked for that should not have."""
    with ExitStack() as stack:
        look = Look(browser, stack)
        yield look
        look.was_calm()


@pytest.fixture
def staged() -> Iterator[StagedEngine]:
    """A simulated Engine with nothing on it."""
    with tempfile.TemporaryDirectory(prefix="page") as directory, StagedEngine(Path(directory)) as staged:
        yield staged
