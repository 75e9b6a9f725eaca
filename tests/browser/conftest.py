"""A browser for tests that look at pages: Chromium without a window, from $CHAOSKIT_BROWSER or as `chromium`.

Where there is none the tests are skipped and say what installs it; CHAOSKIT_BROWSER=required makes that a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
MISSING = "no browser: apt-get install chromium"
REQUIRED = "required"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a browser."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("browser")


def executable(asked: str) -> str:
    """The browser's file; empty where there is none."""
    return shutil.which("chromium" if asked in ("", REQUIRED) else asked) or ""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a file's tests: while it is there its event loop runs, and no test may run one of its own."""
    asked = os.environ.get("CHAOSKIT_BROWSER", "")
    found = executable(asked)
    if not found:
        (pytest.fail if asked == REQUIRED else pytest.skip)(MISSING)
    unboxed = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=unboxed)
        yield started
        started.close()


Look = Callable[..., Page]


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Opens an address: `look(url, width=400, dark=True)`. In the end no page may have complained of anything."""
    wrong: list[str] = []
    contexts = []

    def opened(url: str, *, width: int = 1400, height: int = 900, dark: bool = False, **more: object) -> Page:
        scheme = "dark" if dark else "light"
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", **more
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(f"{url}: {error}"))
        page.on("console", lambda said: wrong.append(f"{url}: {said.text}") if said.type == "error" else None)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
