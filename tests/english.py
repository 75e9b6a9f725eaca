"""How plainly docs, docstrings and messages speak: two figures for each, their goals, and a ratchet.

    .venv/bin/python -m tests.english             the figures, and each sentence behind them with its file and line
    .venv/bin/python -m tests.english --lower     writes today's counts to english.json where they are lower

A sentence hides its actor when it begins with a nameless What or Who and is no question, or when it uses a pronoun such
as "nobody" or "whoever" in place of a name. Goals are rates: 1 % of the sentences, and 0.5 pronouns per 1,000 words.
The ratchet holds counts, because a rate also rises when a plain sentence is deleted.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
RATCHET = Path(__file__).with_suffix(".json")
KINDS = ("docs", "docstrings", "messages")
MOST_NAMELESS = 1.0
"""Goal, in percent of the sentences."""
MOST_PRONOUNS = 0.5
"""Goal, per 1,000 words."""
MARGIN = 10
"""From so many fewer on the ratchet is to be lowered."""

_OPENING = re.compile(r"(?:What|Who|Whom|Whoever|Whatever|Whichever)\b")
_PRONOUN = re.compile(
    r"\b(?:(?:no|some|any|every)body|whoever|whomever|whatever|whom|someone|no one)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z']+")
_CUT = "\ue000"
"""Stands for a line break within a part that is left out, so that lines can still be counted."""
_BOUNDARY = re.compile(rf"(?<=[.!?:;])[\s{_CUT}]+(?=[A-Z`*])|\n[\s{_CUT}]*\n")
_SHORTEST = 3
"""Fewer words make no sentence, and no message."""


@dataclass(frozen=True, slots=True)
class Text:
    """A page, a docstring or a string; it begins at `line` of the file and does not go beyond `last`."""

    file: str
    line: int
    last: int
    text: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, with the place of the first word that hides an actor, or where it begins."""

    place: str
    text: str

    @property
    def words(self) -> int:
        """How many words it has."""
        return len(_WORD.findall(self.text))

    @property
    def nameless(self) -> bool:
        """Whether it begins with What, Who and the like, and asks nothing."""
        return bool(_OPENING.match(self.text)) and not self.text.endswith("?")

    @property
    def pronouns(self) -> int:
        """How many pronouns stand in it for an actor without a name."""
        return len(_PRONOUN.findall(self.text))


@dataclass(frozen=True, slots=True)
class Figures:
    """One kind of text, counted."""

    sentences: tuple[Sentence, ...]

    @property
    def bad(self) -> list[str]:
        """The sentences that raise a figure, each with its place."""
        return [f"{one.place}: {one.text}" for one in self.sentences if one.nameless or one.pronouns]

    @property
    def counts(self) -> dict[str, int]:
        """The two counts, as in the ratchet's file."""
        return {
            "nameless": sum(one.nameless for one in self.sentences),
            "pronouns": sum(one.pronouns for one in self.sentences),
        }

    @property
    def rates(self) -> dict[str, float]:
        """Nameless sentences in percent, pronouns per 1,000 words."""
        words = sum(one.words for one in self.sentences)
        counts = self.counts
        return {
            "nameless": 100 * counts["nameless"] / max(1, len(self.sentences)),
            "pronouns": 1000 * counts["pronouns"] / max(1, words),
        }


def measure(root: Path = ROOT) -> dict[str, Figures]:
    """The figures of the tree below `root`, for each of KINDS."""
    texts: dict[str, list[Text]] = {kind: [] for kind in KINDS}
    for page in (*sorted(root.glob("*.md")), *sorted(root.glob("docs/**/*.md"))):
        texts["docs"].append(read_page(page.read_text(encoding="utf-8"), str(page.relative_to(root))))
    for module in sorted(root.glob("chaoskit/**/*.py")):
        docstrings, messages = read_module(module.read_text(encoding="utf-8"), str(module.relative_to(root)))
        texts["docstrings"] += docstrings
        texts["messages"] += messages
    return {kind: Figures(tuple(one for text in texts[kind] for one in sentences(text))) for kind in KINDS}


def read_page(markdown: str, file: str) -> Text:
    """A page's prose: without code blocks, tables, indented examples; a code span counts as one letter."""
    prose = re.sub(r"```.*?```", _gap, markdown, flags=re.DOTALL)
    lines = (line if _is_prose(line) else None for line in prose.split("\n"))
    kept = "".join(_CUT if line is None else line + "\n" for line in lines)
    return Text(file, 1, markdown.count("\n") + 1, re.sub(r"`[^`]*`", lambda span: "X" + _gap(span), kept))


def read_module(source: str, file: str) -> tuple[list[Text], list[Text]]:
    """The docstrings of a module (of attributes too), and its other strings of three words or more."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    docstrings, seen = [], set()
    for node in nodes:
        body = getattr(node, "body", None)
        for part in body if isinstance(body, list) else ():
            if isinstance(part, ast.Expr) and (found := _string(part.value, file)):
                docstrings.append(found)
                seen.add(id(part.value))
    strings = (_string(node, file) for node in nodes if id(node) not in seen)
    return docstrings, [one for one in strings if one and len(_WORD.findall(one.text)) >= _SHORTEST]


def sentences(text: Text) -> Iterator[Sentence]:
    """A text's sentences of three words or more, in order."""
    begin = 0
    for end, after in (*(found.span() for found in _BOUNDARY.finditer(text.text)), (len(text.text), 0)):
        raw = text.text[begin:end]
        plain = raw.strip().strip(_CUT).strip()
        if len(_WORD.findall(plain)) >= _SHORTEST:
            hidden = None if _OPENING.match(plain) else _PRONOUN.search(raw)
            before = text.text[: begin + (hidden.start() if hidden else raw.index(plain[0]))]
            line = text.line + before.count("\n") + before.count(_CUT)
            yield Sentence(f"{text.file}:{min(line, text.last)}", " ".join(plain.replace(_CUT, " ").split()))
        begin = after


def read_ratchet() -> dict[str, dict[str, int]]:
    """The counts that no commit may raise, by kind."""
    found: dict[str, dict[str, int]] = json.loads(RATCHET.read_text(encoding="utf-8"))
    return found


def trouble(kind: str, figures: Figures, limits: dict[str, int]) -> str:
    """Why this kind of text does not pass, with the sentences; empty when it does."""
    goals = {"nameless": MOST_NAMELESS, "pronouns": MOST_PRONOUNS}
    found = []
    for what, count in figures.counts.items():
        if count > limits[what]:
            found.append(f"{kind}: {count} {what}, where tests/english.json allows {limits[what]}")
        if (rate := figures.rates[what]) > goals[what]:
            found.append(f"{kind}: {what} {rate:.2f}, where the goal is {goals[what]:g}")
    return "\n".join([*found, "name the actor in:", *figures.bad]) if found else ""


def slack(kind: str, figures: Figures, limits: dict[str, int]) -> str:
    """How far the ratchet of this kind can be lowered; empty when by less than MARGIN."""
    found = [f"{limits[what]} to {count} {what}" for what, count in figures.counts.items()]
    loose = max(limits[what] - count for what, count in figures.counts.items())
    return f"{kind}: {' and '.join(found)} (python -m tests.english --lower)" if loose >= MARGIN else ""


def _is_prose(line: str) -> bool:
    return not line.lstrip(_CUT).startswith(("    ", "|"))


def _gap(found: re.Match[str]) -> str:
    return _CUT * (found[0].count("\n") + found[0].count(_CUT))


def _string(node: ast.AST, file: str) -> Text | None:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return None
    return Text(file, node.lineno, node.end_lineno or node.lineno, node.value)


@click.command(help=__doc__)
@click.option("--lower", is_flag=True, help="Write today's counts where they are lower.")
def main(lower: bool) -> None:
    """Prints the figures and the sentences; lowers the ratchet where asked."""
    measured = measure()
    for kind, figures in measured.items():
        rates = figures.rates
        click.echo(
            f"{kind:11} {len(figures.sentences):6} sentences  nameless {rates['nameless']:5.2f} %"
            f"  pronouns {rates['pronouns']:5.2f} per 1,000 words"
        )
        for one in figures.bad:
            click.echo(f"  {one}")
    if lower:
        old = read_ratchet()
        new = {kind: {k: min(n, old[kind][k]) for k, n in measured[kind].counts.items()} for kind in KINDS}
        RATCHET.write_text(json.dumps(new, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
