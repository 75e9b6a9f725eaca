"""The pictures of README and docs, taken anew into docs/images: `make screenshots`, or with names only some of them.

Each is made from a recorded history, so that it shows what the pages are today; a browser is needed (make test-ui
installs one). Pictures of what runs register themselves below, each with a function that gives a file's bytes.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from chaoskit.report.checklist import checklist_view  # noqa: E402
from chaoskit.report.html import page  # noqa: E402
from chaoskit.report.terminal import verdict_view  # noqa: E402
from chaoskit.verify.verify import judge_all  # noqa: E402
from tests.browser.test_console import firing, mail, replayed  # noqa: E402
from tests.golden.doctored import recorded  # noqa: E402

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 200_000
_WIDTH, _HEIGHT = 1100, 1150
_TERMINAL = (
    "<body style='margin:0;background:#14181f;color:#d7dce5'><pre style='margin:0;padding:18px 22px;"
    "display:inline-block;font:13px/1.45 ui-monospace,DejaVu Sans Mono,monospace'>{code}</pre></body>"
)


def opened(browser: Browser, html: bytes, *, height: int = _HEIGHT) -> Page:
    """A page of these bytes."""
    with tempfile.NamedTemporaryFile(suffix=".html", delete=False) as file:
        file.write(html)
    shown = browser.new_page(viewport={"width": _WIDTH, "height": height}, color_scheme="light")
    shown.goto(Path(file.name).as_uri())
    Path(file.name).unlink()
    return shown


def report(browser: Browser) -> bytes:
    """A run's page: the cause, from fault to phone, and the timeline."""
    history = recorded("notified-late")
    verdict, checklists = judge_all(history)
    return opened(browser, page(history, verdict, checklists=checklists)).screenshot(type="jpeg", quality=80)


def timeline(browser: Browser) -> bytes:
    """The lanes of a run whose configuration had lost a route: from the fault to the all-clear, one mail never came."""
    history = recorded("never-notified")
    verdict, checklists = judge_all(history)
    shown = opened(browser, page(history, verdict, checklists=checklists))
    shown.set_viewport_size({"width": 1000, "height": _HEIGHT})
    lanes = shown.locator("#timeline").bounding_box()
    load = shown.locator("#timeline", has_text="Load").get_by_text("Load (real requests", exact=False).bounding_box()
    if lanes is None or load is None:
        raise RuntimeError("the page has no timeline, or none with a load")
    lanes["height"] = load["y"] - lanes["y"] - 14
    return shown.screenshot(full_page=True, clip=lanes)


def terminal(browser: Browser) -> bytes:
    """What `chaoskit verify` prints of the same run."""
    verdict, checklists = judge_all(recorded("notified-late"))
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=150, file=nowhere, force_terminal=True)
        console.print(checklist_view(checklists), verdict_view(verdict))
    code = console.export_html(theme=MONOKAI, inline_styles=True, code_format="{code}")
    shown = opened(browser, _TERMINAL.replace("{code}", code).encode())
    shown.set_viewport_size({"width": 1400, "height": _HEIGHT})
    return shown.locator("pre").screenshot()


@contextmanager
def console(browser: Browser, height: int) -> Iterator[tuple[Page, str]]:
    """A console over a drill whose alert fires just now, with a page that is let in and keeps its clock."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, {"CHAOSKIT_STATE": f"{folder}/state"}),
        replayed(Path(folder), "held-too-long", firing, mail) as (served, replay),
    ):
        shown = browser.new_page(viewport={"width": _WIDTH, "height": height}, color_scheme="light")
        shown.clock.install(time=datetime.fromtimestamp(replay.now, UTC))
        shown.goto(served.link)
        yield shown, served.url
        shown.close()


def live(browser: Browser) -> bytes:
    """The console's page while an alert fires: what is broken, who hears next, and when."""
    with console(browser, 1100) as (shown, _):
        shown.locator("#stop").wait_for()
        return shown.screenshot(type="jpeg", quality=80)


def locust(browser: Browser) -> bytes:
    """Charts of Locust's own web UI, with the fault and the alert as bands."""
    with console(browser, 760) as (shown, url):
        shown.goto(f"{url}/locust/?tab=charts")
        shown.locator("#chaos-bands", has_text="firing").wait_for()
        shown.wait_for_timeout(3_000)  # the charts move in, and announce nothing
        return shown.screenshot(type="jpeg", quality=80)


PICTURES: dict[str, Callable[[Browser], bytes]] = {
    "timeline.png": timeline,
    "report.jpg": report,
    "terminal.png": terminal,
    "live.jpg": live,
    "locust.jpg": locust,
}


def main(names: list[str]) -> int:
    """Takes the pictures of these names, or all; 2 where there is no browser or a picture is too large."""
    found = shutil.which(os.environ.get("CHAOSKIT_BROWSER", "") or "chromium") or shutil.which("chromium")
    if found is None:
        sys.stderr.write("no browser: apt-get install chromium\n")
        return 2
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        unboxed = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=found, args=unboxed)
        for name in names or PICTURES:
            data = PICTURES[name](browser)
            if len(data) > MOST_BYTES:
                sys.stderr.write(f"{name}: {len(data)} bytes, more than {MOST_BYTES}\n")
                return 2
            (IMAGES / name).write_bytes(data)
            sys.stdout.write(f"docs/images/{name}: {len(data)} bytes\n")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
