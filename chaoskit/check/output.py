"""Findings of a check as texts for machines: JSON, GitHub's workflow commands, and Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

from chaoskit.check.findings import Finding, Severity
from chaoskit.check.run import Outcome
from chaoskit.errors import Place
from chaoskit.markdown import document, folded, plain, table
from chaoskit.printable import clean
from chaoskit.units import amount

_NAMES = {Severity.ERROR: "errors", Severity.WARNING: "warnings", Severity.INFO: "notes"}
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def to_json(outcome: Outcome) -> str:
    """One JSON object: findings, skipped lints with the reason, coverage, and how many findings were ignored."""
    return json.dumps(
        {
            "findings": [
                {
                    "id": finding.id,
                    "severity": str(finding.severity),
                    **asdict(finding.place),
                    **{key: getattr(finding, key) for key in ("message", "why", "todo")},
                }
                for finding in outcome.findings
            ],
            "skipped": [asdict(each) for each in outcome.skipped],
            "coverage": {
                each.kind: {"exercised": each.exercised, "all": each.all, "missing": list(each.missing)}
                for each in outcome.coverage
            },
            "thresholds": dict(outcome.proved),
            "ignored": outcome.ignored,
        },
        indent=2,
        ensure_ascii=False,
    )


def to_github(outcome: Outcome) -> Iterator[str]:
    """One workflow command for each finding, and a notice for what could not be checked."""
    yield from map(_command, outcome.findings)
    for skipped in outcome.skipped:
        said = f"since {skipped.reason}: {', '.join(skipped.lints)}"
        yield f"::notice title=not checked::{_data(said)}"


def to_markdown(outcome: Outcome) -> str:
    """The findings as a comment on a pull request: errors with what to do; the rest is folded."""
    by = {severity: [one for one in outcome.findings if one.severity is severity] for severity in Severity}
    counts = [amount(len(by[severity]), name) for severity, name in _NAMES.items() if by[severity]]
    head = ["## chaoskit check", "", f"{', '.join(counts) or 'nothing found'}.", ""]
    parts = [[*_item(one)] for one in by[Severity.ERROR]]
    for severity in (Severity.WARNING, Severity.INFO):
        lines = [line for one in by[severity] for line in _item(one)]
        parts.append(folded(amount(len(by[severity]), _NAMES[severity]), lines))
    coverage = [
        (each.kind, f"{each.exercised} of {each.all}", plain(", ".join(each.missing))) for each in outcome.coverage
    ]
    parts.append(
        folded("what scenarios exercise, and promises give reasons for", table(("", "exercised", "not"), coverage))
    )
    parts.append(folded("thresholds proved on both sides", table(("", "by"), outcome.proved.items())))
    skipped = [f"- since {plain(each.reason)}: {plain(', '.join(each.lints))}" for each in outcome.skipped]
    parts.append(folded("not checked", skipped))
    return document(head, parts)


def _item(finding: Finding) -> Iterator[str]:
    yield f"- **{finding.severity}** {plain(str(finding.place))}: {plain(finding.message)} ({finding.id})"
    yield f"  - do: {plain(finding.todo)}"


def _command(finding: Finding) -> str:
    message = f"{finding.message}. {finding.why} To do: {finding.todo}"
    return workflow_command(_COMMANDS[finding.severity], finding.place, finding.id, message)


def workflow_command(command: str, place: Place, title: str, message: str) -> str:
    """One workflow command: `error`, `warning` or `notice`, with what it says beside the line of the place."""
    properties = {"file": place.file, "line": str(place.line) if place.line else "", "title": title}
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{command} {written}::{_data(message)}"


def _data(text: str) -> str:
    """A line break would end the command, and a percent sign begins an escape; a log is read on terminals too."""
    return clean(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _property(text: str) -> str:
    """Between properties, colons and commas separate as well."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
