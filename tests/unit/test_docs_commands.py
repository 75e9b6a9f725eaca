"""Every command in the documents exists with each option that is shown, and is run as printed or says why not."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from chaoskit.cli import run
from chaoskit.cli.all import chaoskit
from tests.docs_commands import ELSEWHERE, PLANNED, RUN, SLOW, WHOLE, commands, lay_out, words
from tests.docs_commands import PAGES as TEXTS

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
        named = re.split(r"\s+#|\s\|\s|[;&]", rest)[0].replace("[", "").replace("]", "").split()
        if named and named[0] not in prose and (said := wrong(named)):
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


def pictures(page: Path) -> list[tuple[str, str]]:
    """The words and the file of each picture that a page shows."""
    return re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix == ".md"], ids=lambda page: page.name)
def test_every_picture_is_there_is_small_and_says_what_it_shows(page: Path) -> None:
    for told, target in pictures(page):
        assert (page.parent / target).stat().st_size < 200_000
        assert len(told) > 40


def test_every_picture_is_shown_somewhere_and_taken_by_a_command() -> None:
    shown = {Path(target).name for page in PAGES for _, target in pictures(page)}
    there = {path.name for path in (ROOT / "docs").rglob("*") if path.suffix in PICTURES}
    taken = (ROOT / "scripts" / "screenshots.py").read_text(encoding="utf-8")
    assert there == shown
    assert {name for name in there if f'"{name}"' not in taken} == set()


def test_each_command_of_the_pages_is_run_somewhere_or_says_why_not() -> None:
    printed = {page: commands(page) for page in TEXTS if page not in WHOLE}
    missing = {f"{page}: {one}" for page, ran in RUN.items() for one in ran if one not in printed[page]}
    ran = {one for page in RUN.values() for one in page}
    rest = {one for page in printed.values() for one in page} - ran
    untold = {one for one in rest if not any(re.fullmatch(why, one) for why in ELSEWHERE)}
    idle = {why for why in ELSEWHERE if not any(re.fullmatch(why, one) for one in rest)}
    assert (missing, untold, idle, set(SLOW) - ran) == (set(), set(), set(), set())
    assert all(page in (ROOT / test).read_text(encoding="utf-8") for page, test in WHOLE.items())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("    chaoskit check     a remark\n    chaoskit gate -x # another\n", ["chaoskit check", "chaoskit gate -x"]),
        ("`chaoskit plan` and `chaoskit plan x.yml`", ["chaoskit plan x.yml"]),
        ("    chaoskit run a \\\n      --set b\n", ["chaoskit run a --set b"]),
        ("    chaoskit verify RUN\n", []),
        ("```\nchaoskit printed this\n```\n", []),
    ],
)
def test_commands_are_found_in_a_page(text: str, found: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEXTS, "page.md", text)
    assert commands("page.md") == found


@pytest.mark.stack
@pytest.mark.parametrize("page", RUN)
def test_the_quick_commands_of_a_page_end_as_it_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(tmp_path, page)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    quick = {one: code for one, code in RUN[page].items() if one not in SLOW}
    ended = {}
    for one in quick:
        own = one.startswith("chaoskit ")
        ended[one] = int(run(words(one))) if own else subprocess.run(["sh", "-c", one], check=False).returncode
    assert ended == quick, capsys.readouterr().err


@pytest.mark.stack
def test_loads_that_the_pages_show_can_be_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from locust import User, task\n\nclass Mine(User):\n    @task\n    def t(self): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    shown = [one for one in commands("load.md") if one.startswith("chaoskit run worker-unhealthy --set")]
    assert {one: int(run(["plan", *words(one)[1:]])) for one in shown} == dict.fromkeys(shown, 0)
    assert shown


@pytest.mark.stack
def test_gates_that_the_pages_show_can_be_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    shown = [one for page in ("gate.md", "gate-parts.md") for one in commands(page) if re.fullmatch(PLANNED, one)]
    assert {one: int(run([*words(one), "--dry-run"])) for one in shown} == dict.fromkeys(shown, 0)
    assert len(shown) > 3


# Why a page needs no example, table or limits of its own.
APART = {
    "faults.md": "rendered from a registry",
    "figures.md": "is tables of figures, each with its command",
    "glossary.md": "is a list of words",
    "handles.md": "rendered from a registry",
    "index.md": "leads to the others",
    "published-bugs.md": "is a list of cases",
}


@pytest.mark.parametrize("page", [page for page in TEXTS if page not in APART])
def test_a_page_says_what_it_is_about_and_has_an_example_a_table_and_its_limits(page: str) -> None:
    text = TEXTS[page]
    title, _, rest = text.partition("\n")
    assert title.startswith("# ")
    assert re.search(r"^```|^    \S", rest, re.MULTILINE), "an example"
    assert re.search(r"^\|---", rest, re.MULTILINE), "a table"
    assert re.search(r"^## (Limits|What it cannot do)", rest, re.MULTILINE), "its limits"


def test_the_index_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", TEXTS["index.md"]))
    assert linked >= TEXTS.keys() - {"index.md"}
    assert linked <= TEXTS.keys()
