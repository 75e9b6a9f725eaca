"""The console in a browser: it fits and can be read in every state, by keyboard too, and obeys no other page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page

from chaoskit.console.commands import Drill
from chaoskit.events import (
    AlertState,
    End,
    Equipment,
    Event,
    FaultOk,
    Interruption,
    LoadWindow,
    Notice,
    Phase,
    UndoOk,
    decode,
)
from chaoskit.safety.stop_all import block
from tests import http_stub
from tests.browser.conftest import Look
from tests.browser.seen import faint, too_wide
from tests.ui.replaying import Replay, Served, serving

Until = Callable[[Event], bool]


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))


def firing(event: Event) -> bool:
    return isinstance(event, AlertState) and event.state == "firing"


def mail(event: Event) -> bool:
    return isinstance(event, Notice) and bool(event.html)


def phase(name: str) -> Until:
    return lambda event: isinstance(event, Phase) and event.name == name


def unhealed(replay: Replay) -> None:
    end = next(event for event in replay.events if isinstance(event, End))
    left = msgspec.structs.replace(end, healed=False, left=["a fault that could not be undone"])
    replay.lines[end.n] = msgspec.json.encode(left) + b"\n"
    replay.all()


@contextmanager
def replayed(
    folder: Path, name: str, *until: Until, alive: bool = True, rest: Callable[[Replay], None] = lambda _: None
) -> Iterator[tuple[Served, Replay]]:
    """A console over a recording, after the first event of each kind in turn."""
    replay = Replay(name, folder / "out" / f"20260101-000000-{name}")
    for one in until:
        replay.until(one)
    rest(replay)
    with serving(folder / "scratch", replay, alive=alive) as served:
        yield served, replay


STATES: dict[str, tuple[str, tuple[Until, ...], bool, Callable[[Replay], None]]] = {
    "starting": ("held-too-long", (phase("starting"),), True, lambda _: None),
    "fault": ("held-too-long", (lambda event: isinstance(event, FaultOk),), True, lambda _: None),
    "firing": ("held-too-long", (firing, mail), True, lambda _: None),
    "cascade": ("not-suppressed", (firing, mail, mail), True, lambda _: None),
    "healing": ("interrupted", (lambda event: isinstance(event, Interruption),), True, lambda _: None),
    "blind": (
        "prometheus-died",
        (lambda event: isinstance(event, Equipment) and event.state == "down",),
        True,
        lambda _: None,
    ),
    "over-fail": ("held-too-long", (), False, Replay.all),
    "over-pass": ("kept", (), False, Replay.all),
    "not-healed": ("held-too-long", (), False, unhealed),
    "died": ("run-killed", (), False, lambda replay: replay.all(judged=False)),
}


def seen(page: Page, name: str) -> None:
    """It fits, and can be read, on a phone and on a screen, light and dark; pictures where they are asked for."""
    screens = os.environ.get("CHAOSKIT_SCREENS")
    for width in (400, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            if screens:
                page.screenshot(path=f"{screens}/console-{name}-{width}-{scheme}.png", full_page=True)
            assert (too_wide(page), faint(page)) == ([], []), (name, width, scheme)


QUICK = ("firing", "not-healed")
"""The states that every `make test` looks at; `make test-ui` looks at all of them."""


@pytest.mark.parametrize("name", [one if one in QUICK else pytest.param(one, marks=pytest.mark.long) for one in STATES])
def test_every_state_fits_a_phone_and_a_screen_and_can_be_read(name: str, look: Look, tmp_path: Path) -> None:
    recording, until, alive, rest = STATES[name]
    with replayed(tmp_path, recording, *until, alive=alive, rest=rest) as (served, _):
        page = look(served.link)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        seen(page, name)
        # 200 % zoom is half the width in pixels of the page.
        page.set_viewport_size({"width": 640, "height": 450})
        assert too_wide(page) == []
        assert [url for url in asked if not url.startswith((served.url, "data:", "about:"))] == []
        page.close()


@pytest.mark.long
def test_pages_before_a_drill_fit_and_are_gone_through_by_keyboard_alone(look: Look, tmp_path: Path) -> None:
    """From the list of scenarios to a drill that the lever refuses, each step by Tab and Enter, focus always seen."""
    block("a release is under way")
    with serving(tmp_path / "scratch", begins=True) as served:
        page = look(served.link)
        assert page.url.endswith("/new")
        seen(page, "new-lever-down")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        served.ask("POST", "/unlock", served.command, b"{}")
        page.goto(served.url + "/new")
        seen(page, "new")
        page.locator("#scenario").focus()
        page.keyboard.type("worker-un")
        for _ in range(4):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/plan?**")
        seen(page, "plan")
        block("a release is under way")
        page.locator("a.skip").focus()
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "start":
                break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.keyboard.press("Enter")
        page.wait_for_url(served.url + "/")
        page.get_by_text("REFUSED", exact=True).wait_for(timeout=60_000)
        assert page.get_by_text("a release is under way").is_visible()
        seen(page, "refused")
        page.close()


@pytest.mark.long
def test_runs_and_their_comparison_fit_and_can_be_read(look: Look, tmp_path: Path) -> None:
    Replay("kept", tmp_path / "out" / "20260101-000001-kept").all()
    with replayed(tmp_path, "held-too-long", alive=False, rest=Replay.all) as (served, _):
        page = look(served.link)
        page.goto(served.url + "/runs")
        seen(page, "runs")
        for box in page.locator("input[name=run]").all():
            box.check()
        page.get_by_text("Compare the two").click()
        page.wait_for_url("**/compare?**")
        seen(page, "compare")
        page.close()


def test_what_happens_is_shown_without_a_reload_and_disturbs_nobody(look: Look, tmp_path: Path) -> None:
    """A mail that is read stays open and is not loaded again; what is typed stays; the status is told to listeners."""
    with replayed(tmp_path, "held-too-long", firing, mail) as (served, replay):
        page = look(served.link)
        first = page.locator("details[data-keep]", has=page.locator("iframe")).first
        first.locator("summary").click()
        kept = first.locator("iframe").element_handle()
        page.locator("#note").fill("half a no")
        page.locator("#note").focus()
        replay.until(mail)
        page.locator("details[data-keep]").nth(2).wait_for()
        replay.until(lambda event: isinstance(event, UndoOk))
        page.get_by_text("no fault in force").wait_for()
        assert kept is not None
        assert kept.evaluate("(node) => node.isConnected && node.closest('details').open")
        assert page.locator("#note").input_value() == "half a no"
        assert page.evaluate("document.activeElement.id") == "note"
        page.locator("[role=status]", has_text="running the steps").wait_for(state="attached")
        page.keyboard.type("te")
        page.keyboard.press("Enter")
        page.locator("[data-key=notes]", has_text="half a note").wait_for()
        page.close()


@pytest.mark.long
def test_a_page_that_hears_nothing_says_so(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    with replayed(tmp_path, "held-too-long", firing) as (served, _):
        page.goto(served.link)
        page.get_by_text("process.kill").first.wait_for()
        assert page.locator("#old").is_hidden()
    page.locator("#old", has_text="This page is old since").wait_for(timeout=20_000)
    context.close()


@pytest.mark.long
def test_without_javascript_the_page_shows_all_the_same(browser: Browser, tmp_path: Path) -> None:
    """It is told to come again every two seconds."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    with replayed(tmp_path, "held-too-long", firing) as (served, replay):
        page.goto(served.link)
        told = served.ask("GET", "/")[2].decode()
        assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in told
        assert page.get_by_text("Without JavaScript").is_visible()
        assert page.locator("[data-key=alerts] .state.firing").is_visible()
        replay.all()
        page.reload()
        page.locator(".banner.FAIL").wait_for()
        context.close()


@contextmanager
def listening(answer: str) -> Iterator[tuple[int, list[str]]]:
    """Another program on this machine that answers every GET with this page: its port, and what it was asked for."""
    asked: list[str] = []

    class Page(http_stub.Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.answer(answer, kind="text/html")

    with http_stub.serving(Page) as server:
        yield server.server_port, asked


def test_hostile_labels_and_mails_run_nothing_and_ask_for_nothing(browser: Browser, tmp_path: Path) -> None:
    """Not in the page, not in a mail's frame; a page without our policy asks at once, which the listener shows."""
    context = browser.new_context()
    page = context.new_page()
    with listening("") as (port, asked):
        ask = f"<img src=http://127.0.0.1:{port}/x><link rel=stylesheet href=http://127.0.0.1:{port}/y>"
        page.set_content(ask)
        page.wait_for_load_state("networkidle")
        assert sorted(asked) == ["/x", "/y"]
        asked.clear()
        run = "<script>parent.document.title=document.title='owned'</script><svg onload=document.title='owned'>"
        bad = f"{ask}{run}<img src=x onerror=document.title='owned'>\x1b]0;"
        replay = Replay("held-too-long", tmp_path / "out" / "20260101-000000-hostile")
        for number, event in enumerate(replay.events):
            if isinstance(event, Notice):
                more = msgspec.structs.replace(event, subject=bad, html=bad, text=bad, recipients=[bad], receiver=bad)
                replay.lines[number] = msgspec.json.encode(more) + b"\n"
            if isinstance(event, AlertState):
                other = msgspec.structs.replace(event, labels={**event.labels, "alertname": bad})
                replay.lines[number] = msgspec.json.encode(other) + b"\n"
        replay.events = [decode(line) for line in replay.lines]
        replay.until(mail)
        with serving(tmp_path / "scratch", replay) as served:
            page.goto(served.link)
            replay.all(judged=False)
            page.locator("details[data-keep]").nth(3).wait_for()
            page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            page.locator("iframe").first.scroll_into_view_if_needed()
            page.wait_for_function("document.querySelectorAll('iframe').length > 2")
            page.frame_locator("iframe").first.locator("img").first.wait_for(state="attached")
            assert page.title() == "recorded"
            assert asked == []
            context.close()


ATTACK = """<!doctype html><title>attacker</title><body><script>
window.wins = [];
const win = (how) => window.wins.push(how);
const url = "TARGET";
window.done = (async () => {
  const tries = [
    fetch(url + "/", {credentials: "include"}).then((a) => a.text()).then((t) => t && win("read")).catch(() => 0),
    fetch(url + "/stop", {method: "POST", credentials: "include", mode: "no-cors", body: "{}"}).catch(() => 0),
    fetch(url + "/stop", {method: "POST", credentials: "include", headers: {"X-Chaoskit-Token": "x"}, body: "{}"})
      .then(() => win("preflight")).catch(() => 0),
    fetch(url + "/locust/stop", {method: "POST", credentials: "include", mode: "no-cors"}).catch(() => 0),
    new Promise((end) => { const s = new EventSource(url + "/stream", {withCredentials: true});
      s.onmessage = () => { win("stream"); end(); }; s.onerror = () => { s.close(); end(); }; }),
    new Promise((end) => { const s = Object.assign(document.createElement("script"), {src: url + "/bands.json"});
      s.onload = () => { win("script"); end(); }; s.onerror = end; document.body.append(s); }),
    new Promise((end) => { const f = Object.assign(document.createElement("iframe"), {src: url + "/"});
      f.onload = () => end(); document.body.append(f); setTimeout(end, 1500); }),
    new Promise((end) => { const f = Object.assign(document.createElement("form"),
      {action: url + "/locust/stop", method: "post", target: "away"});
      document.body.append(Object.assign(document.createElement("iframe"), {name: "away"}), f);
      f.submit(); setTimeout(end, 1000); }),
  ];
  await Promise.all(tries);
  return window.wins;
})();
</script>"""


def test_other_pages_of_this_machine_and_of_others_get_nothing(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By fetch, preflight, event stream, script, frame and form; from another port, name and host. From our own page
    the same fetch and the same command come through."""
    context = browser.new_context()
    page = context.new_page()
    stopped: list[str] = []
    with (
        replayed(tmp_path, "held-too-long", firing) as (served, _),
        listening(ATTACK.replace("TARGET", served.url)) as (port, _),
    ):
        monkeypatch.setattr(Drill, "stop", lambda _: stopped.append("stop"))
        page.goto(served.link)
        page.goto("about:blank")  # else the stream of our own page, which is let in, may answer just now
        statuses: list[int] = []
        page.on(
            "response", lambda answer: statuses.append(answer.status) if answer.url.startswith(served.url) else None
        )
        for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
            page.goto(f"http://{host}/")
            assert page.evaluate("window.done") == []
        assert stopped == []
        assert statuses
        assert all(status in (401, 403, 405) for status in statuses), statuses
        page.goto(served.url)
        assert "worker-unhealthy" in page.evaluate("fetch('/').then((answer) => answer.text())")
        page.locator("#stop").click()
        page.wait_for_function("document.querySelector('#answer').hidden")
        for _ in range(100):
            if stopped:
                break
            page.wait_for_timeout(50)
        assert stopped == ["stop"]
    context.close()


BANDS = """() => { const found = [];
  for (const node of document.querySelectorAll('[_echarts_instance_]')) {
    const key = Object.keys(node).find((name) => name.startsWith('__reactFiber$'));
    for (let fiber = node[key], up = 0; fiber && up < 4; fiber = fiber.return, up++)
      for (const side of [fiber, fiber.alternate])
        for (let hook = side && side.memoizedState; hook && typeof hook === 'object'; hook = hook.next)
          if (hook.memoizedState && typeof hook.memoizedState.getOption === 'function')
            found.push(hook.memoizedState.getOption().series.map((one) => [one.name, one.data.length]));
  } return found; }"""


def test_locust_s_charts_show_faults_and_alerts_and_in_the_next_run_those_of_that_one(
    look: Look, tmp_path: Path
) -> None:
    with replayed(tmp_path, "held-too-long", firing, mail) as (served, replay):
        page = look(served.link)
        page.goto(served.url + "/locust/?tab=charts")
        page.wait_for_function(f"() => ({BANDS})().filter((one) => one.length > 2).length >= 3", timeout=30_000)
        first = page.evaluate(BANDS)[0]
        assert [name for name, _ in first] == [
            "RPS",
            "Failures/s",
            "in force: process.kill on worker-1",
            "firing: WorkerUnhealthy",
        ]
        assert first[0][1] >= sum(isinstance(event, LoadWindow) for event in replay.events[: replay.written])
        strip = page.locator("#chaos-bands")
        assert "in force: process.kill on worker-1" in strip.inner_text()
        if screens := os.environ.get("CHAOSKIT_SCREENS"):
            page.screenshot(path=f"{screens}/locust-charts-with-bands.png", full_page=True)
        drill = served.console.desk.drill
        assert drill is not None
        second = Replay("quiet", replay.folder.parent / "20260101-000001-second")
        second.until(phase("tail"))
        drill.folder = second.folder
        drill.began += 1
        replay.now = second.now
        page.wait_for_function(f"() => ({BANDS})().some((one) => one.length == 2 && one[0][1] > 5)", timeout=30_000)
        assert all(len(one) <= 2 for one in page.evaluate(BANDS))
        page.close()


@pytest.mark.long
def test_with_a_locust_that_keeps_its_charts_elsewhere_its_page_works_without_bands(look: Look, tmp_path: Path) -> None:
    with replayed(tmp_path, "held-too-long", firing, mail) as (served, _):
        page = look(served.link)
        page.add_init_script(
            "const was = Element.prototype.setAttribute; Element.prototype.setAttribute = function (name, value) {"
            "  if (name !== '_echarts_instance_') was.call(this, name, value); };"
        )
        page.goto(served.url + "/locust/?tab=charts")
        page.locator("#chaos-bands", has_text="in force").wait_for(timeout=30_000)
        page.get_by_role("tab", name="Statistics").click()
        page.get_by_text("Aggregated").first.wait_for()
        assert page.evaluate(BANDS) == []
        page.close()
