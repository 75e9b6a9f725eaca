"""A rehearsal as text, JSON, Markdown, GitHub's workflow commands and JUnit XML, and the exit code it ends with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from chaoskit.check.output import workflow_command
from chaoskit.errors import ExitCode, Place, worst
from chaoskit.markdown import document, folded, plain, table
from chaoskit.rehearse.outcome import SYNTHETIC, Heard, Rehearsed, RuleOutcome
from chaoskit.rehearse.unit_tests import GroupRow
from chaoskit.report.junit import Case, junit
from chaoskit.report.text import clean, paragraph
from chaoskit.verify.verdict import Result

_COMMANDS = {Result.FAIL: "error", Result.UNKNOWN: "warning"}
CODES = {Result.PASS: ExitCode.PASS, Result.FAIL: ExitCode.FAIL, Result.UNKNOWN: ExitCode.UNKNOWN}
_WIDEST = 110


def exit_code(found: Rehearsed) -> ExitCode:
    """The worst of all rules and findings; UNKNOWN where no rule was rehearsed."""
    results = [one.result for one in found.rehearsed if one.result]
    results += [row.result for row in found.findings] if results else [Result.UNKNOWN]
    results += [row.result for row in found.tests if row.result]
    return worst([*(CODES[result] for result in results), *map(ExitCode, found.codes)])


def text_lines(found: Rehearsed) -> Iterator[str]:
    """A rehearsal's answer for a terminal: rule by rule, then what could not be rehearsed, then the sum."""
    for one in found.rehearsed:
        yield from _rule(one)
    for row in (*(row for row in found.hours if row.result is Result.PASS), *found.besides):
        yield f"{row.result:7}  {clean(row.about)}: {paragraph(row.said)}"
    left = [one for one in found.outcomes if one.result is None]
    if left:
        yield ""
        yield f"not rehearsed: {len(left)}"
        for one in left:
            yield f"  {one.rule.alert} ({one.rule.place}): {paragraph(one.reasons[0])}"
    if found.tests:
        yield from _tests(found.tests)
    if found.unreached:
        yield ""
        yield f"receivers that no rule reaches: {', '.join(found.unreached)}"
    yield ""
    for note in found.notes:
        yield f"note: {paragraph(note)}"
    yield SYNTHETIC
    yield f"promise: {found.promise}"
    yield summary(found)


def _tests(tests: Sequence[GroupRow]) -> Iterator[str]:
    played = [row.result for row in tests if row.drills]
    yield ""
    yield f"test groups: {len(played)} of {len(tests)} played: {_ended(played)}"
    for row in tests:
        result = str(row.result or "not played")
        if row.reason or row.result is not Result.PASS:
            yield f"  {result:10}  {clean(row.title)} ({row.place}): {paragraph(row.reason) or 'see its alerts'}"


def _ended(results: Sequence[Result | None]) -> str:
    counts = Counter(map(str, results))
    return ", ".join(f"{counts[name]} {name}" for name in ("PASS", "FAIL", "UNKNOWN") if counts[name]) or "none"


def summary(found: Rehearsed) -> str:
    """One line: how many of how many rules were rehearsed, and how they ended."""
    ended = _ended([one.result for one in found.rehearsed])
    share = f"{len(found.rehearsed)} of {len(found.outcomes)} alert rules rehearsed in {found.took_s:.0f} s"
    fired, silent = sum(one.fired for one in found.rehearsed), sum(bool(one.undelivered) for one in found.rehearsed)
    untold = f"; {fired} of {len(found.rehearsed)} fired, {silent} without a notification" if silent else ""
    hours = f"; time intervals: {_ended([row.result for row in found.hours])}" if found.hours else ""
    return f"{share}: {ended}{untold}{hours} (exit {int(exit_code(found))})"


def _rule(one: RuleOutcome) -> Iterator[str]:
    again = ", at the second attempt" if one.attempt > 1 else ""
    yield f"{one.result:7}  {one.rule.alert} ({one.rule.place}){again}"
    for heard in one.heard:
        yield f"           {_heard(heard)}"
    if one.undelivered:
        yield f"           {one.undelivered}"
    silent = [
        f"{name} (no integration)" if name in one.deaf else name
        for name in one.receivers
        if name not in {heard.receiver for heard in one.heard}
    ]
    if silent and not one.undelivered:
        yield f"           heard nothing: {', '.join(silent)}"
    if one.muted_by:
        yield f"           muted by: {', '.join(one.muted_by)}"
    for reason in (*one.reasons, *([one.how] if one.how else ())):
        yield f"           {paragraph(reason)}"


def _short(heard: Heard) -> str:
    text = " ".join(clean(heard.text).split())
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"


def _heard(heard: Heard) -> str:
    said = _short(heard)
    beside = f", told with {', '.join(map(clean, heard.beside))}" if heard.beside else ""
    return f"{heard.receiver} ({heard.integration}) {heard.after_vs:.0f} s after firing{beside}: {said}"


def to_json(found: Rehearsed) -> str:
    """A rehearsal's whole outcome, as one JSON object."""
    return json.dumps(
        {
            "source": "synthetic",
            "detect": "not proven",
            "promise": found.promise,
            "exit_code": int(exit_code(found)),
            "took_s": round(found.took_s, 1),
            "rules": [_as_json(one) for one in found.outcomes],
            "findings": [
                {"about": row.about, "result": str(row.result), "reason": row.reason} for row in found.besides
            ],
            "hours": [{"about": row.about, "result": str(row.result), "said": row.said} for row in found.hours],
            "tests": [_test_as_json(row) for row in found.tests],
            "unreached_receivers": list(found.unreached),
            "notes": list(found.notes),
        },
        indent=2,
        ensure_ascii=False,
    )


def _test_as_json(row: GroupRow) -> dict[str, object]:
    place = {"file": row.place.file, "line": row.place.line}
    ended = {"result": str(row.result or "NOT PLAYED"), "reason": row.reason}
    return place | {"title": row.title, "alerts": row.alerts, "drills": row.drills} | ended


def _as_json(one: RuleOutcome) -> dict[str, object]:
    return {
        "alert": one.rule.alert,
        "file": one.rule.place.file,
        "line": one.rule.place.line,
        "result": str(one.result) if one.result else "NOT REHEARSED",
        "attempt": one.attempt,
        "reasons": list(one.reasons),
        "receivers": list(one.receivers),
        "fired": one.fired,
        "told_to_nobody": one.undelivered,
        "how": one.how,
        "muted_by": list(one.muted_by),
        "notices": [
            {
                "receiver": heard.receiver,
                "integration": heard.integration,
                "after_firing_s": round(heard.after_vs, 1),
                "told_with": list(heard.beside),
                "recipients": list(heard.recipients),
                "text": heard.text,
            }
            for heard in one.heard
        ],
        **({"stub": one.stub} if one.stub else {}),
    }


def to_github(found: Rehearsed) -> Iterator[str]:
    """A workflow command for each rule that did not pass, beside its line, and the sum as a notice."""
    for one in found.outcomes:
        if one.undelivered:
            yield workflow_command("warning", one.rule.place, "rehearsal", f"{one.rule.alert}: {one.undelivered}")
        if one.result is not Result.PASS:
            command = _COMMANDS.get(one.result, "notice") if one.result else "notice"
            title = f"rehearsal {one.result or 'not possible'}"
            yield workflow_command(command, one.rule.place, title, f"{one.rule.alert}: {'; '.join(one.reasons)}")
    for row in found.besides:
        yield workflow_command(
            _COMMANDS[row.result], Place(""), f"rehearsal {row.result}", f"{row.about}: {row.reason}"
        )
    for test, result in _unplayed(found):
        if result is not Result.PASS:
            yield workflow_command(_COMMANDS[result], test.place, f"test {result}", f"{test.title}: {test.reason}")
    yield f"::notice title=rehearsal::{summary(found)}; {SYNTHETIC}"


def to_markdown(found: Rehearsed) -> str:
    """A rehearsal's answer as a comment on a pull request: what did not pass and why, who would hear what.

    The rest folded.
    """
    head = ["## chaoskit rehearse", "", f"{plain(summary(found))}.", ""]
    parts = []
    for one in found.rehearsed:
        if one.result is not Result.PASS or one.undelivered:
            said = [f"  - {plain(text)}" for text in (*one.reasons, one.undelivered) if text]
            parts.append([f"- **{one.result}** {plain(one.rule.alert)} ({plain(str(one.rule.place))})", *said])
    parts += [[f"- **{row.result}** {plain(row.about)}", f"  - {plain(row.reason)}"] for row in found.besides]
    parts.append([""])
    heard = [
        (
            plain(one.rule.alert),
            plain(f"{each.receiver} ({each.integration})"),
            f"{each.after_vs:.0f} s",
            plain(_short(each)),
        )
        for one in found.rehearsed
        for each in one.heard
    ]
    parts.append(folded("who hears of what, how long after firing", table(("alert", "who", "after", "text"), heard)))
    left = [
        f"- {plain(one.rule.alert)} ({plain(str(one.rule.place))}): {plain(one.reasons[0])}"
        for one in found.outcomes
        if one.result is None
    ]
    parts.append(folded(f"not rehearsed: {len(left)}", left))
    tests = [
        (str(row.result or "not played"), plain(row.title), plain(str(row.place)), plain(row.reason))
        for row in found.tests
    ]
    parts.append(folded(f"test groups: {len(tests)}", table(("", "group", "place", "why"), tests)))
    parts.append(
        folded("notes", [f"- {plain(note)}" for note in (*found.notes, SYNTHETIC, f"promise: {found.promise}")])
    )
    return document(head, parts)


def _unplayed(found: Rehearsed) -> Iterator[tuple[GroupRow, Result]]:
    """The groups of tests that have a result although no drill plays them."""
    return ((row, row.result) for row in found.tests if row.result and not row.drills)


_SUITE = "chaoskit rehearse"


def to_junit(found: Rehearsed) -> bytes:
    """JUnit XML: one case a rule and one a finding that is not PASS; rules that could not be rehearsed come last."""
    every: list[tuple[str, str, Result | None, tuple[str, ...], str]] = [
        (one.rule.alert, str(one.rule.place), one.result, one.reasons or ("",), one.undelivered)
        for one in found.rehearsed
    ]
    every += [(row.about, row.hop, row.result, (row.reason,), "") for row in found.besides]
    every += [(row.title, str(row.place), result, (row.reason,), "") for row, result in _unplayed(found)]
    return junit(
        _SUITE,
        [
            Case(name, title, found.took_s, str(result), reasons, _SUITE, said=(said,) if said else ())
            for name, title, result, reasons, said in every
        ],
    )
