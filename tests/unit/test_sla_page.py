"""The page of a window: balanced, quiet, and true to the evidence, also where names are hostile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from chaoskit.sla.compute import compliance
from chaoskit.sla.incidents import Known
from chaoskit.sla.page import page
from chaoskit.sla.report import Report
from chaoskit.sla.stories import read, story_of
from tests.html_page import Page
from tests.sla_month import NOVEMBER, NOW, PRODUCTION, at, episode, filled


def drawn(folder: Path) -> tuple[bytes, Page]:
    store, targets = filled(folder)
    with store:
        hostile = replace(episode("<script>alert(1)</script>", at(28), at(28, "00:10")), severity="x\"'&<b>")
        store.write_episodes(PRODUCTION, [hostile])
        results = compliance(store, targets, NOVEMBER, now=NOW)
        reads = read(store, targets, NOVEMBER, results)
        planned = store.planned(None, NOVEMBER.starts_at, NOVEMBER.ends_at)
        told = [story_of(one, NOVEMBER, targets, Known()) for one in reads]
        made = page(Report(NOVEMBER, results, (), planned), reads, told)
        assert page(Report(NOVEMBER, results, (), planned), reads, told) == made
    found = Page()
    found.feed(made.decode())
    found.close()
    return made, found


def test_the_page_is_whole_quiet_and_tells_what_the_evidence_tells(tmp_path: Path) -> None:
    made, found = drawn(tmp_path)
    assert found.wrong == []
    days = [
        dict(attrs)["class"]
        for tag, attrs in found.tags
        if tag == "rect" and attrs.get("rx") == "4" and "class" in attrs
    ]
    uptime = days[:30]
    assert uptime[4] == "day lost"  # 480 s of 2,588 on the 5th
    assert uptime[11] == "day within"
    assert uptime[19] == "day well"  # it was planned
    assert uptime.count("day well") == 28
    text = made.decode()
    assert "Wed 25 Nov: 0.0 min down, 0.0% of the budget; 30.0 min not seen" in text
    assert text.count('fill="url(#hatch)" width="30"') == 3  # a day each
    assert "no alert saw it" in found.text
    assert "all 3 levels kept" in found.text
    assert "&lt;script&gt;" in text
    assert "<script" not in text


def test_a_page_of_nothing_says_so(tmp_path: Path) -> None:
    made = page(Report(NOVEMBER, ()), (), ()).decode()
    assert "nothing was recorded" in made
