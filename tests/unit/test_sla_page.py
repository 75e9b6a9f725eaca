"""The page of a window: balanced, quiet, and true to the evidence, also where names are hostile."""

from __future__ import annotations

from pathlib import Path

from chaoskit.sla.page import page
from chaoskit.sla.report import Report
from tests.html_page import Page
from tests.sla_month import NOVEMBER, november_page


def drawn(folder: Path) -> tuple[bytes, Page]:
    made = november_page(folder)
    assert november_page(folder) == made
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
