"""Markdown says what it was given and nothing else: no tag, no link, no person that is called; and it fits."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from chaoskit.markdown import MOST, document, folded, plain, table
from chaoskit.printable import clean
from chaoskit.report.summary import to_markdown
from chaoskit.verify.verify import verify
from tests.golden.doctored import NAMES, recorded

RENDER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Seen(HTMLParser):
    """The words of a page, and its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words, self.tags = "", set[str]()
        self.feed(RENDER.render(text))

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(str.strip))
def test_any_text_is_shown_as_it_is_in_a_list_and_in_a_table(text: str) -> None:
    wanted = clean(" ".join(text.split()))
    item = Seen(f"- x {plain(text)}")
    assert item.words.replace("\u200b", "").strip() == f"x {wanted}"
    assert item.tags == {"ul", "li"}
    cell = Seen("\n".join(table(("a", "b"), [(f"x {plain(text)}", "y")])))
    assert cell.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert f"x {wanted}" in cell.words.replace("\u200b", "")


LINKED = ("@team", "#12", "!7", "~label", "%milestone", "$x$", "a@b.example", ":tada:")
ADDRESSES = ("https://x.example", "www.x.example")


@pytest.mark.parametrize("text", [*LINKED, *ADDRESSES])
def test_nothing_is_linked_or_called(text: str) -> None:
    """A forge makes links of these after it has read the Markdown, unless something stands in between."""
    said = Seen(f"- {plain(f'see {text}')}").words
    assert text not in said
    assert said.replace("\u200b", "").strip() == f"see {text}"


def test_places_and_figures_can_be_copied() -> None:
    for text in ("alertmanager.yml:26", "10:03:32 UTC", "0-46 s (10 %)", "rate > 5"):
        assert Seen(f"- {plain(text)}").words.strip() == text


def test_what_does_not_fit_is_left_out_whole_and_said() -> None:
    parts = [folded(f"part {n}", ["x" * 10_000]) for n in range(20)]
    said = document(["## title", ""], parts)
    assert MOST - 15_000 < len(said) <= MOST
    assert said.startswith("## title\n")
    assert said.count("<details>") == said.count("</details>")
    assert "15 more parts do not fit here" in said
    assert len(document(["y" * 2 * MOST], [])) <= MOST
    assert (table(("a",), []), folded("a", [])) == ([], [])


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_run_has_a_summary_that_fits(name: str) -> None:
    verdict = verify(recorded(name))
    said = to_markdown(verdict, verdict)
    assert said.startswith(f"## {verdict.result}: worker-unhealthy\n")
    assert len(said) < MOST
    assert ("NOT HEALED" in said) == (verdict.exit_code == 5)
    assert re.search(r"<details><summary>what changed since [^<]*</summary>\n\nnothing", said)
    written = "h2 p ul li strong em code table thead tbody tr th td details summary"
    assert Seen(said).tags <= set(written.split())
