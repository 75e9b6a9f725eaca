"""Verdicts as JUnit XML, which CI servers show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from chaoskit.report.text import clean, clean_lines, telling
from chaoskit.verify.verdict import Row, Verdict, worst_of


@dataclass(frozen=True, slots=True)
class Case:
    """One scenario, or one promise of it: how it ended and why."""

    name: str
    title: str
    took_s: float
    result: str
    """PASS, FAIL, UNKNOWN, or ERROR where there is no verdict."""
    reasons: tuple[str, ...]
    group: str = ""
    """The scenario that this case is a part of; empty: the whole suite."""
    said: tuple[str, ...] = ()
    """Lines for `system-out`, with every result."""


def junit(suite: str, cases: Sequence[Case]) -> bytes:
    """The JUnit XML of a verdict.

    FAIL is a failure; UNKNOWN and ERROR are errors: whether the promise holds is unknown.
    """
    failures = sum(case.result == "FAIL" for case in cases)
    errors = sum(case.result in ("UNKNOWN", "ERROR") for case in cases)
    # The promises of one run are kept, or not, side by side: together they take as long as the run.
    whole = {case.group or f"{n}": case.took_s for n, case in enumerate(cases)}
    took = f"{sum(whole.values()):.3f}"
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": str(errors), "time": took}
    root = ET.Element("testsuites", counts)
    element = ET.SubElement(root, "testsuite", {"name": suite, **counts})
    for case in cases:
        one = ET.SubElement(element, "testcase", {"classname": case.group or suite, **_named(case)})
        if case.said:
            ET.SubElement(one, "system-out").text = "\n".join(clean(line) for line in case.said)
        if case.result == "PASS":
            continue
        tag = "failure" if case.result == "FAIL" else "error"
        text = "\n".join(clean_lines(reason) for reason in case.reasons)
        first = clean(" ".join(case.reasons[0].split())) if case.reasons else case.result
        ET.SubElement(one, tag, {"message": first, "type": case.result}).text = f"{clean(case.title)}\n{text}"
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def promises(verdict: Verdict, took_s: float) -> list[Case]:
    """A case for each promise of a run: an alert's instance with all its hops, or another row.

    `took_s` is how long the run took, in real seconds.
    """
    found: dict[str, list[Row]] = {}
    for row in verdict.rows:
        found.setdefault(row.about, []).append(row)
    results = {about: str(worst_of(row.result for row in rows)) for about, rows in found.items()}
    return [
        Case(about, verdict.title, took_s, results[about], tuple(telling(rows)), verdict.scenario)
        for about, rows in found.items()
    ]


def _named(case: Case) -> dict[str, str]:
    return {"name": clean(case.name), "time": f"{case.took_s:.3f}"}
