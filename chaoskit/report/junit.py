"""Verdicts as JUnit XML, for whatever shows the results of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from chaoskit.report.text import clean


@dataclass(frozen=True, slots=True)
class Case:
    """One scenario: how it ended and why."""

    name: str
    title: str
    took_s: float
    result: str
    """PASS, FAIL, UNKNOWN, or ERROR where there is no verdict."""
    reasons: tuple[str, ...]


def junit(suite: str, cases: Sequence[Case]) -> bytes:
    """The document. FAIL is a failure; UNKNOWN and ERROR are errors: nobody knows whether the promise holds."""
    failures = sum(case.result == "FAIL" for case in cases)
    errors = sum(case.result in ("UNKNOWN", "ERROR") for case in cases)
    took = f"{sum(case.took_s for case in cases):.3f}"
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": str(errors), "time": took}
    root = ET.Element("testsuites", counts)
    element = ET.SubElement(root, "testsuite", {"name": suite, **counts})
    for case in cases:
        one = ET.SubElement(
            element, "testcase", {"classname": suite, "name": clean(case.name), "time": f"{case.took_s:.3f}"}
        )
        if case.result == "PASS":
            continue
        tag = "failure" if case.result == "FAIL" else "error"
        text = "\n".join(clean(reason) for reason in case.reasons)
        first = clean(case.reasons[0]) if case.reasons else case.result
        ET.SubElement(one, tag, {"message": first, "type": case.result}).text = f"{clean(case.title)}\n{text}"
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"
