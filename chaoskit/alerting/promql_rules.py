"""Compress a rule file: every group's interval, every rule's expression, holds and templates.

A rule that cannot be compressed is left out and named, and so is every rule that reads what it would have recorded (or
its `ALERTS`): what is left in the file means the same as before. A recorded rate is divided where it is recorded, so
its readers need nothing.

`for` and `keep_firing_for` are waited in evaluations: `for: 1m` at an interval of 15s is the fourth evaluation after
the first. That number is what is kept, whatever the rounding of interval and hold.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from chaoskit.alerting.promql import is_instant, metrics, reads_alert, scale
from chaoskit.alerting.promql_durations import CannotScale, Rounding, Scale, as_fraction, divide, millis_of
from chaoskit.alerting.promql_templates import scale_template
from chaoskit.units import format_duration

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A rule that was left out: its group, its alert or record name, and why it cannot be compressed."""

    group: str
    rule: str
    reason: str

    def __str__(self) -> str:
        return f"{self.group}/{self.rule}: {self.reason}"


def scale_rules(
    doc: Mapping[str, Any],
    k: Scale,
    eval_interval_s: float,
    *,
    instants: Collection[str] = (),
    lost: Iterable[str] = (),
) -> tuple[Document, list[Refusal]]:
    """A rule file (as parsed YAML) for k virtual seconds a second, and the rules that had to be left out.

    `eval_interval_s` is the global evaluation interval before compression, which groups without an interval have.
    `instants` names recorded metrics of other files whose value is a point on the real clock (`instant_records`).
    `lost` names rules that are left out already: what reads one of them is left out at every k.
    The document given is not changed; k = 1 gives an equal one.
    """
    factor, scaled = as_fraction(k), copy.deepcopy(dict(doc))
    refused: list[Refusal] = []
    without = {(kind, name) for name in lost for kind in ("record", "alert")}
    if factor == 1 and not without:
        return scaled, []
    known = frozenset(instants) | instant_records([doc])
    for group in scaled.get("groups") or []:
        kept: list[Any] = []
        for rule, new, fault in _scaled_rules(group, factor, eval_interval_s, known):
            if fault is None:
                kept.append((rule, new))
                continue
            refused.append(Refusal(str(group.get("name")), name_of(rule), str(fault)))
            without.add(_what(rule))
        group["rules"] = kept
    refused += _without_readers(scaled.get("groups") or [], without)
    for group in scaled.get("groups") or []:
        group["rules"] = [new for _, new in group["rules"]]
    return scaled, refused


def name_of(rule: Mapping[str, Any]) -> str:
    """The alert's or record's name."""
    return str(rule.get("alert") or rule.get("record") or "?")


def instant_records(docs: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Recorded metrics, over several rule files, whose value is a point on the real clock."""
    records = [
        rule
        for doc in docs
        for group in doc.get("groups") or []
        for rule in group.get("rules") or []
        if "record" in rule
    ]
    known: frozenset[str] = frozenset()
    while True:
        found = known | {str(rule["record"]) for rule in records if is_instant(str(rule.get("expr", "")), known)}
        if found == known:
            return known
        known = found


def _scaled_rules(
    group: Document, k: Fraction, eval_interval_s: float, instants: frozenset[str]
) -> Iterable[tuple[Document, Document, CannotScale | None]]:
    """Scales the group's own settings in place; gives each rule before and after, or what speaks against it."""
    rules = list(group.get("rules") or [])
    try:
        interval = round(eval_interval_s * 1000)
        if group.get("interval"):
            interval = millis_of(group["interval"], "interval") or interval
        new_interval = divide(interval, k, Rounding.PERIOD, "interval")
        if group.get("interval"):
            group["interval"] = format_duration(new_interval / 1000)
        if group.get("query_offset"):
            offset = millis_of(group["query_offset"], "query_offset")
            group["query_offset"] = format_duration(divide(offset, k, Rounding.SHIFT, "query_offset") / 1000)
    except CannotScale as fault:
        return [(rule, rule, fault) for rule in rules]
    found: list[tuple[Document, Document, CannotScale | None]] = []
    for rule in rules:
        try:
            found.append((rule, _scaled_rule(rule, k, interval, new_interval, instants), None))
        except CannotScale as fault:
            found.append((rule, rule, fault))
    return found


def _scaled_rule(rule: Document, k: Fraction, interval: int, new_interval: int, instants: frozenset[str]) -> Document:
    new = dict(rule, expr=scale(str(rule.get("expr", "")), k, instants=instants))
    for hold in ("for", "keep_firing_for"):
        millis = millis_of(rule[hold], hold) if rule.get(hold) else 0
        if millis:
            new[hold] = format_duration(scaled_hold(millis, k, interval, new_interval) / 1000)
    for texts in ("labels", "annotations"):
        if rule.get(texts):
            new[texts] = {
                key: scale_template(value, k, instants) if isinstance(value, str) else value
                for key, value in rule[texts].items()
            }
    return new


def scaled_hold(hold: int, k: Fraction, interval: int, new_interval: int) -> int:
    """`hold` divided by k such that it spans as many evaluations as before (all in milliseconds)."""
    evaluations = -(-hold // interval)
    nearest = round(hold / k)
    return min(max(nearest, (evaluations - 1) * new_interval + 1), evaluations * new_interval)


def _without_readers(groups: list[Document], lost: set[tuple[str, str]]) -> list[Refusal]:
    """Takes out the rules that read a lost one, until nothing more is lost; `rules` hold (old, new) pairs here."""
    refused: list[Refusal] = []
    before = -1
    while lost and before != len(refused):
        before = len(refused)
        for group in groups:
            kept = []
            for rule, new in group["rules"]:
                missing = _read_by(rule, lost)
                if not missing:
                    kept.append((rule, new))
                    continue
                reason = f"it reads {', '.join(missing)}, which is left out"
                refused.append(Refusal(str(group.get("name")), name_of(rule), reason))
                lost.add(_what(rule))
            group["rules"] = kept
    return refused


def _what(rule: Mapping[str, Any]) -> tuple[str, str]:
    """A rule as others may read it: a record by its name, an alert through ALERTS."""
    return ("record" if "record" in rule else "alert", name_of(rule))


def _read_by(rule: Mapping[str, Any], lost: set[tuple[str, str]]) -> list[str]:
    """Which lost records and alerts the rule's expression reads."""
    expr = str(rule.get("expr", ""))
    read = metrics(expr)
    return sorted(name for kind, name in lost if (name in read if kind == "record" else reads_alert(expr, name)))
