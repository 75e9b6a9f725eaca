"""Why a verdict is no PASS, one box for each cause: the rows that it broke or left unknown, with where to look.

Rows have one cause where they failed at one hop by one setting, or are unknown by one piece of equipment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from chaoskit.events import Notice
from chaoskit.hop import Hop, Lane
from chaoskit.report.text import in_words, shortened, telling
from chaoskit.verify.case import Case, Instance, describe
from chaoskit.verify.verdict import ORDER, Result, Row

MOST = 6
"""Causes, and rows of each, that are shown; the others are counted."""
_LONGEST = 1500
_GOVERNED = "; governed by "
_TROUBLE = re.compile(r", (?:and|but) (.+)$", re.DOTALL)
_WHOSE = re.compile(r"(?:the )?(.+?) (?:was|answered|ended|lapsed|stood|did|had)\b")
_RUN = re.compile(r"\brun (?:was )?ended|history breaks off|sent no totals")
_HEADS = {
    "run": "The run did not come to its end.",
    "inexact": "The times are known too inexactly to tell a kept promise from a broken one.",
}
_INEXACT = "known only to lie within"


@dataclass(frozen=True, slots=True)
class Broke:
    """One row of a cause: which one, what it says, and where more of it is seen, as (word, link)."""

    who: str
    what: str
    links: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause; `governed` names the setting behind it, `explain` the commands that tell more of its alerts."""

    result: str
    head: str
    governed: str
    rows: Sequence[Broke]
    more: int
    explain: Sequence[str]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A row's reason in parts."""

    row: Row
    what: str
    governed: str
    trouble: str

    @property
    def key(self) -> tuple[str, ...]:
        """The key of the sentence's cause: rows with equal keys are shown together."""
        unknown = self.row.result is Result.UNKNOWN
        if unknown and _RUN.search(self.what):
            return ("run",)
        if unknown and self.what.startswith(_INEXACT):
            return ("inexact",)
        if unknown and self.trouble:
            whose = _WHOSE.match(self.trouble)
            return ("trouble", whose[1] if whose else self.trouble)
        return (self.row.hop, self.governed or self.what)


def sentence(row: Row) -> Sentence:
    """A row's reason, without the names that stand beside it."""
    what, _, governed = in_words(row.reason).partition(_GOVERNED)
    what = what.removeprefix("not judged: ")
    for who in (f"{row.about} -> {row.to}, {row.hop}: ", f"{row.about}, {row.hop}: "):
        what = what.removeprefix(who)
    trouble = _TROUBLE.search(what)
    return Sentence(row, what, governed, trouble[1] if trouble else "")


def causes(
    rows: Sequence[Row], case: Case | None = None, shown: Mapping[int, str] = {}, bundle: str = ""
) -> list[Cause]:
    """All causes, failures first; without a case they lead to rows only.

    `shown` has the page's links to notices, by id; `bundle` is the configuration's folder where it is not the shipped.
    """
    told = set(telling(rows))
    found: dict[tuple[str, ...], list[tuple[int, Sentence]]] = {}
    for number, row in enumerate(rows):
        if row.result is not Result.PASS and row.reason in told:
            said = sentence(row)
            found.setdefault((row.result, *said.key), []).append((number, said))
    made = [_cause(some, case, shown, bundle) for some in found.values()]
    return sorted(made, key=lambda one: ORDER.index(Result(one.result)))


def _cause(some: list[tuple[int, Sentence]], case: Case | None, shown: Mapping[int, str], bundle: str) -> Cause:
    first = some[0][1]
    together = len({said.what for _, said in some}) > 1 or len(some) > 1
    head = first.what if not together else first.governed or first.trouble or first.what
    if together and first.key[0] in _HEADS:
        head = _HEADS[first.key[0]]
    elif together and first.row.result is Result.UNKNOWN:
        head = first.trouble or first.what
    broke = [
        Broke(_who(said.row), shortened(said.what, _LONGEST) * together, list(_links(number, said, case, shown)))
        for number, said in some[:MOST]
    ]
    alerts = {one.about: one for one in case.instances} if case and case.rehearsal is None else {}
    named = dict.fromkeys(said.row.about for _, said in some if said.row.about in alerts)
    settings = {said.governed for _, said in some}
    governed = first.governed if len(settings) == 1 and head != first.governed else ""
    return Cause(
        str(first.row.result),
        shortened(head, _LONGEST),
        shortened(governed, _LONGEST),
        broke,
        max(0, len(some) - MOST),
        [explain_command(alerts[about], bundle) for about in list(named)[:MOST]],
    )


def _who(row: Row) -> str:
    to = f" → {row.to}" if row.to else ""
    return shortened(f"{row.about}{to}, {row.hop}")


def _links(number: int, said: Sentence, case: Case | None, shown: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    row = said.row
    yield "row", f"#row-{number}"
    if case is None:
        return
    instance = next(((n, one) for n, one in enumerate(case.instances) if one.about == row.about), None)
    if instance is not None:
        yield "timeline", f"#alert-{instance[0]}"
        if row.hop.lane in (Lane.ALERT, Lane.RECEIVER):
            yield ("route" if row.to else "rule"), f"#why-{number}"
    notice = _notice(row, instance[1] if instance else None, case)
    if notice is not None and id(notice) in shown:
        yield ("mail" if notice.integration == "email" else "notice"), shown[id(notice)]
    if row.result is Result.UNKNOWN:
        yield "equipment", "#equipment"


def _notice(row: Row, one: Instance | None, case: Case) -> Notice | None:
    """The notice that a row is about, if one came."""
    if one is not None and row.to:
        status = "resolved" if row.hop is Hop.ALL_CLEAR else "firing"
        return next((found for n in one.alert.notices if n.to == row.to and (found := one.heard(n, status))), None)
    if row.hop.timed:
        return None
    told = (n for n in case.evidence.notices if any(describe(item.labels) == row.about for item in n.alerts))
    if one is not None and one.episode is not None:
        told = (n for n in case.evidence.notices if one.episode and one.episode.is_told(n, "firing"))
    return next(told, None)


def explain_command(one: Instance, bundle: str) -> str:
    """The command that explains an instance's alert before it ever fires."""
    words = ["chaoskit", "explain", one.alert.rule.alert]
    name = one.about.removeprefix(f"{one.alert.rule.alert} ")
    words += [f"{one.alert.label}={name}"] if one.alert.label and one.alert.names else []
    return shlex.join([*words, *(["--bundle", bundle] if bundle else [])])
