"""The strict reader notices what browsers repair in silence."""

from __future__ import annotations

import pytest

from tests.bundle_mail.page import Invalid, Page

GOOD = (
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>t</title></head><body>'
    '<table><tr><td style="color:red">a<br><b>c</b> &lt;d&gt; <a href="http://x/">x</a></td></tr></table></body></html>'
)
WRONG = {
    "no doctype": ("<!DOCTYPE html>", ""),
    "not closed": ("</td>", ""),
    "closed crosswise": ("<b>c</b>", "<b><i>c</b></i>"),
    "a cell outside a row": ("<tr><td", "<td"),
    "text between rows": ("<tr>", "loose<tr>"),
    "a block inside a phrase": ("<b>c</b>", "<a href='x'>".replace("'", '"') + "<div>c</div></a>"),
    "no title": ("<title>t</title>", ""),
    "an attribute twice": ('style="color:red"', 'style="color:red" style="a:b"'),
    "no quotes": ('"color:red"', "red"),
    "a script": ("a<br>", "<script>alert(1)</script>"),
    "a handler": ('style="color:red"', 'onclick="x()"'),
    "a second heading": ("<table>", "<h1>a</h1><h1>b</h1><table>"),
}


def test_a_good_page_is_read() -> None:
    page = Page(GOOD)
    assert page.links == ["http://x/"]
    assert page.styles == [("td", "color:red")]
    assert page.inside("td") == ["a", "<d>"]


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_page_is_refused(what: str) -> None:
    right, wrong = WRONG[what]
    assert right in GOOD
    with pytest.raises(Invalid):
        Page(GOOD.replace(right, wrong, 1))
