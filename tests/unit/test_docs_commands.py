"""Every chaoskit command in the documents exists, with each option that is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from chaoskit.cli.all import chaoskit

ROOT = Path(__file__).parents[2]
PICTURES = (".jpg", ".png")
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    + [path for path in (ROOT / "docs").rglob("*.*") if path.suffix not in PICTURES]
)


def shown(text: str) -> Iterator[tuple[int, str]]:
    """The commands of a page with their lines, those that go on after a backslash or in a folded block whole."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for match in re.finditer(
        r"(?:^\s*(?:- )?(?:\S*/)?|`(?:\S*/)?)chaoskit (?P<rest>[a-z][^`\n]*)", joined, re.MULTILINE
    ):
        yield joined.count("\n", 0, match.start("rest")) + 1, match["rest"]


def wrong(words: list[str]) -> str:
    """What of the command line does not exist; empty when all does."""
    command: click.Command = chaoskit
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        if name.startswith("-") or name in ("|", "#"):
            return ""
        found = command.get_command(click.Context(command), name.rstrip("`,.;:"))
        if found is None:
            return f"no command '{name}'"
        command = found
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
    return ", ".join(f"{command.name} has no {one}" for one in given if one not in {*options, "--help"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    prose = ("can", "does", "has", "is")  # a sentence of its own, whose line begins with our name
    told = []
    for line, rest in shown(page.read_text(encoding="utf-8")):
        words = re.split(r"\s+#|\s\|\s|[;&]", rest)[0].replace("[", "").replace("]", "").split()
        if words and words[0] not in prose and (said := wrong(words)):
            told.append(f"{page.name}:{line}: {said}")
    assert told == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("`chaoskit rum x`", "no command 'rum'"),
        ("    chaoskit run x --nope", "run has no --nope"),
        ("chaoskit bundle render --out d \\\n  --nope", "render has no --nope"),
        ("chaoskit doctor --install --no-canary", ""),
    ],
)
def test_what_does_not_exist_is_found(text: str, said: str) -> None:
    assert [wrong(rest.split()) for _, rest in shown(text)] == [said]


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix == ".md"], ids=lambda page: page.name)
def test_every_picture_is_there_is_small_and_says_what_it_shows(page: Path) -> None:
    for words, target in re.findall(r"!\[(.*?)\]\((.+?)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).stat().st_size < 200_000
        assert len(words) > 40


def test_every_picture_is_shown_somewhere_and_taken_by_a_command() -> None:
    shown = {
        Path(target).name for page in PAGES for target in re.findall(r"!\[.*?\]\((.+?)\)", page.read_text("utf-8"))
    }
    there = {path.name for path in (ROOT / "docs").rglob("*") if path.suffix in PICTURES}
    taken = (ROOT / "scripts" / "screenshots.py").read_text(encoding="utf-8")
    assert there == shown
    assert {name for name in there if f'"{name}"' not in taken} == set()
