"""The page of service levels as people see it: on a phone and on a screen, light and dark, it fits and can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Look
from tests.browser.seen import faint, too_wide
from tests.sla_month import november_page

pytestmark = pytest.mark.sla


def test_the_page_of_a_month_fits_a_phone_and_a_screen_and_can_be_read(look: Look, tmp_path: Path) -> None:
    file = tmp_path / "november.html"
    file.write_bytes(november_page(tmp_path))
    shown = look(file.as_uri())
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    for width in (400, 1400):
        shown.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            shown.emulate_media(color_scheme=scheme)
            assert (too_wide(shown), faint(shown)) == ([], []), (width, scheme)
            squares = shown.locator(".square").first.bounding_box()
            assert squares is not None
            assert squares["width"] > 24  # a finger's breadth
    assert [one for one in asked if not one.startswith(("data:", "about:"))] == []
