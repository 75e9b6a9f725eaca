"""A run's page as people see it: on a phone and on a screen, light and dark, it fits and can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.gate.answer import Ended
from chaoskit.gate.candidate import LeftOut, candidate
from chaoskit.gate.coverage import covered
from chaoskit.gate.earlier import Earlier
from chaoskit.gate.gate import Outcome
from chaoskit.gate.index import write_index
from chaoskit.hop import Hop, Lane
from chaoskit.report.html import page
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import judge_all, plan_of, verify
from tests.browser.conftest import Look
from tests.browser.seen import faint, too_wide
from tests.golden.doctored import recorded

HOURS = [
    Row(about="mute_time_intervals nights, inside: team (alertmanager.yml:7)", hop=Hop.HOURS, result=Result.PASS,
        rests_on="silent, and its twin was told; Mon 02:00 UTC is played now"),
    Row(about="mute_time_intervals nights, outside: team (alertmanager.yml:7)", hop=Hop.HOURS, result=Result.FAIL,
        reason="the route was not told, and its twin was; Mon 14:00 UTC is played now; see alertmanager.yml:1"),
]  # fmt: skip
STATES = ["kept", "notified-late", "mailbox-died", "run-killed"]


def written(name: str, folder: Path) -> str:
    verdict, checklists = judge_all(recorded(name))
    file = folder / f"{name}.html"
    file.write_bytes(page(recorded(name), verdict, checklists=checklists))
    return file.as_uri()


@pytest.mark.parametrize("name", STATES)
def test_a_page_fits_a_phone_and_a_screen_and_all_its_text_can_be_read(name: str, look: Look, tmp_path: Path) -> None:
    """Of text the contrast is at least 4.5, also on bars; folded parts are opened before."""
    shown = look(written(name, tmp_path))
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    for width in (400, 1400):
        shown.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            shown.emulate_media(color_scheme=scheme)
            assert (too_wide(shown), faint(shown)) == ([], []), (width, scheme)
    assert [one for one in asked if not one.startswith(("data:", "about:"))] == []


def gate(folder: Path) -> str:
    """The page of a gate with scenarios of each result, one at its second attempt, compared with an earlier one."""
    plan = plan_of(recorded("kept").header)
    outcomes = []
    for name, of in (("b", "kept"), ("a", "notified-late"), ("died", "mailbox-died"), ("c-again", "kept")):
        verdict, where = verify(recorded(of)), folder / name
        where.mkdir()
        (where / "report.html").write_text("its page")
        one = candidate(name.removesuffix("-again"), "x.yml", plan, None)
        outcomes.append(Outcome(one, verdict.exit_code, 12.4, where, 1 + name.endswith("-again"), verdict))
    (folder / "c").mkdir()
    (folder / "c" / "report.html").write_text("its first page")
    coverage = covered(plan.config, [], ())
    for old in (None, Earlier(folder, {}, {})):
        left_out = (LeftOut("d", "not selected", "X"),)
        file = write_index(Ended(folder, outcomes, coverage, left_out, 61.0, old, hours=HOURS))
    return file.as_uri()


_ALL_HOPS = """hops => document.querySelectorAll('#hops .matrix tr').forEach(row => {
  while (row.cells.length <= hops.length) row.append(row.cells[1].cloneNode(true));
  hops.forEach((hop, n) => {
    const cell = row.cells[n + 1];
    cell.classList.remove('none');
    cell.textContent = cell.tagName === 'TH' ? hop : '+1187.8 s';
  });
})"""


def test_a_gates_page_fits_can_be_read_and_is_filtered_by_keyboard(look: Look, tmp_path: Path) -> None:
    shown = look(gate(tmp_path))
    for width in (400, 1400):
        shown.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            shown.emulate_media(color_scheme=scheme)
            assert (too_wide(shown), faint(shown)) == ([], []), (width, scheme)
    shown.evaluate(_ALL_HOPS, [str(hop) for hop in Hop if hop.lane in (Lane.ALERT, Lane.RECEIVER)])
    for width in (400, 800, 1200, 1300, 1400):
        shown.set_viewport_size({"width": width, "height": 900})
        assert too_wide(shown) == [], f"{width}, with a column for each hop that there is"
    names = shown.locator("#scenarios tbody[class] a bdi:visible")
    assert names.all_inner_texts() == ["a", "died", "b", "c"]
    for choice, left in (("FAIL", ["a"]), ("UNKNOWN", ["died"]), ("again", ["c"]), ("all", ["a", "died", "b", "c"])):
        shown.locator(f"#show-{choice}").press("Space")
        assert names.all_inner_texts() == left, choice
    assert shown.locator("#scenarios h3").is_visible()


def test_a_link_opens_what_is_folded_around_its_end(look: Look, tmp_path: Path) -> None:
    """The mail and the reasons of a window: without a script, and by keyboard."""
    shown = look(written("notified-late", tmp_path))
    for word in ("mail", "route"):
        link = shown.locator(".cause a", has_text=word).first
        target = link.get_attribute("href")
        assert not shown.locator(f"{target}").is_visible()
        link.focus()
        shown.keyboard.press("Enter")
        shown.locator(f"{target}").wait_for(state="visible")


def test_on_paper_is_what_is_folded_on_a_screen(look: Look, tmp_path: Path) -> None:
    shown = look(written("notified-late", tmp_path))
    mail = shown.locator("#notice-0 pre")
    reason = shown.locator(".because dl").first
    assert not mail.is_visible()
    shown.emulate_media(media="print")
    assert mail.is_visible()
    assert reason.is_visible()
    assert shown.pdf().startswith(b"%PDF")
