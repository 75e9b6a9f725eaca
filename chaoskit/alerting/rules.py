"""Rule files: alerting and recording rules in the order Prometheus evaluates them.

Strict about groups and rules, since each of their keys decides when an alert fires. A rule whose expression or key is
not known here is left out and said to be not understood: whether Prometheus accepts it is promtool's to say.

Of a PrometheusRule manifest, as Kubernetes keeps rules, the groups stay where they stand and everything around them
becomes blank, so that every place in the result is the place in the manifest. A file may hold several documents, or a
List of manifests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

import yaml

from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.expression import expression
from chaoskit.alerting.model import Rule
from chaoskit.alerting.promql_syntax import newer_construct
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.yaml_source import LOADER, Node

_GROUP_KEYS = ("name", "interval", "query_offset", "limit", "labels", "rules")
_RULE_KEYS = ("alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations")
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def read_rules(reading: Reading, text: str, file: str, every_s: float = 1.0, offset_s: float = 0.0) -> tuple[Rule, ...]:
    """All rules of one file that can be read, in its order; names may repeat. Groups that do not say so themselves are
    evaluated `every_s`, `offset_s` in the past.

    A rule, a group or a file that cannot be read is left out, which is said of its names, and the others are read.
    """
    groups = _groups(reading, text, file, every_s, offset_s)
    return tuple(rule for _, members in groups for _, rule in members if rule is not None)


def rules_in(text: str, file: str) -> tuple[Rule, ...]:
    """The rules of one file that can be read, with the intervals that Prometheus assumes."""
    return read_rules(Reading(), text, file)


def rule_document(text: str, file: str, set_aside: Mapping[str, str]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A rule file as plain data with the rules that can be read and are not set aside; the others' names, with why.

    The result is cached and shared: callers must not change it.
    """
    return _document(text, file, tuple(set_aside.items()))


@lru_cache(maxsize=256)
def _document(text: str, file: str, aside: tuple[tuple[str, str], ...]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    reading, set_aside = Reading(), dict(aside)
    groups, left_out = [], []
    for group, members in _groups(reading, text, file):
        known = [(node, rule) for node, rule in members if rule is not None]
        kept = [node.plain() for node, rule in known if rule.expr not in set_aside]
        left_out += [(r.name, set_aside[r.expr]) for _, r in known if r.expr in set_aside]
        groups.append({**{key.raw: value.plain() for key, value in group.pairs}, "rules": kept})
    for each in reading.not_understood:
        why = set_aside.get(each.expr, str(each.problem))
        left_out += [(name, why) for name in each.of or (file,)]
    return {"groups": groups}, left_out


def rest_of(text: str, file: str, without: Collection[str]) -> str:
    """A rule file with what is not known to be wrong, and no rule of these expressions, every rule on its own line.

    For a program that says no more of a file than the first thing that is wrong with it.
    """
    lines = ["groups:"]
    for group, members in _groups(Reading(), text, file):
        head = {key.raw: value.plain() for key, value in group.pairs if key.raw != "rules"}
        _put(lines, group.place.line, f'- {json.dumps(head)[:-1]}, "rules": [')
        for node, _ in members:
            expr = node.get("expr")
            if expr is None or expr.raw not in without:
                _put(lines, node.place.line, f"  {json.dumps(node.plain())},")
        lines[-1] += "]}"
    return "\n".join(lines)


def _put(lines: list[str], line: int, text: str) -> None:
    lines += [""] * (line - 1 - len(lines))
    lines.append(text)


def _groups(
    reading: Reading, text: str, file: str, every_s: float = 1.0, offset_s: float = 0.0
) -> list[tuple[Node, list[tuple[Node, Rule | None]]]]:
    """The groups that are not wrong, each with its rules that are not; None for a rule that is not understood."""
    found: list[tuple[Node, list[tuple[Node, Rule | None]]]] = []
    lines: dict[str, int] = {}
    if all(line.strip() == "---" or not line.partition("#")[0].strip() for line in text.splitlines()):
        return found  # a file of nothing but comments is one without rules
    with reading.left_out():
        root = reading.root(text, file)
        reading.known_keys(root, ("groups",), "the rule file", ())
        nodes = reading.mappings(root, "groups", "a rule group")
    for group in nodes:
        with reading.left_out():
            members = reading.mappings(group, "rules", "a rule")
        names = [n for each in members if (n := _name(each))]
        wrong = len(reading.not_understood)
        with reading.left_out(names):
            reading.known_keys(group, _GROUP_KEYS, "a rule group", names)
            name = reading.required(group, "name", "a rule group")
            if name in lines:
                reading.say(
                    group.place, f"the group '{name}' is defined twice", f"first on line {lines[name]}; rename one"
                )
            interval_s = reading.duration(group, "interval", 0.0) or every_s
            late_s = reading.duration(group, "query_offset", offset_s)
            labels = reading.string_map(group, "labels")
        if any(each.broken for each in reading.not_understood[wrong:]):
            continue
        lines.setdefault(name, group.place.line)
        rules: list[tuple[Node, Rule | None]] = []
        for node in members:
            wrong = len(reading.not_understood)
            rule = _rule(reading, node, name, interval_s, late_s, labels)
            if not any(each.broken for each in reading.not_understood[wrong:]):
                rules.append((node, rule))
        found.append((group, rules))
    return found


def _name(node: Node) -> str:
    called = node.get("alert") or node.get("record")
    return called.raw if called is not None and called.kind == "scalar" else ""


def _rule(
    reading: Reading, node: Node, group: str, interval_s: float, offset_s: float, group_labels: dict[str, str]
) -> Rule | None:
    """The rule; None if its expression cannot be read. Every problem goes to `reading`."""
    name = _name(node)
    with reading.left_out([name] if name else ()):
        alert, record = reading.text(node, "alert"), reading.text(node, "record")
        reading.known_keys(node, _RULE_KEYS, "a rule", [name])
        if bool(alert) == bool(record):
            found = "both 'alert' and 'record'" if alert else "neither 'alert' nor 'record'"
            reading.say(node.place, f"the rule has {found}", "write one of the two: alert or record")
        if record:
            _check_recording(reading, node, record)
        expr = _expression(reading, node, alert or record)
        for_s, keep_s = reading.duration(node, "for", 0.0), reading.duration(node, "keep_firing_for", 0.0)
        labels, annotations = reading.string_map(node, "labels"), reading.string_map(node, "annotations")
    if expr is None:
        return None
    return Rule(
        alert, record, expr, for_s, keep_s, {**group_labels, **labels}, annotations, group, interval_s, node.place,
        offset_s,
    )  # fmt: skip


def _check_recording(reading: Reading, node: Node, record: str) -> None:
    if not _METRIC_NAME.fullmatch(record):
        reading.say(node.place, f"'{record}' is not a metric name", "use letters, digits, _ and :")
    for key in ("for", "keep_firing_for", "annotations"):
        value = reading.get(node, key)
        if value is not None:
            reading.say(value.place, f"a recording rule cannot have '{key}'", "remove it, or make it an alert")


def why_unread(expr: str) -> tuple[str, bool]:
    """Why an expression cannot be read here, and whether that is known to be newer PromQL; empty where it can."""
    if newer := newer_construct(expr):
        return f"{newer} is newer than chaoskit's PromQL parser", True
    try:
        expression(expr)
    except ValueError as error:
        return str(error).strip(), False
    return "", False


def _expression(reading: Reading, node: Node, name: str) -> str | None:
    """The rule's expression; None where it does not parse."""
    expr = reading.required(node, "expr", f"the rule '{name}'")
    why, newer = why_unread(expr) if expr else ("", False)
    if not why:
        return expr
    value = reading.get(node, "expr")
    place = value.place if value else node.place
    message = f"the expression of the rule '{name}' does not parse: {why}"
    reading.puzzle(place, message, "try it with promtool check rules", [name], newer, expr)
    return None


_KIND = "PrometheusRule"
_THANOS = "partial_response_strategy"


def rule_texts(text: str, file: str) -> tuple[str, ...]:
    """The rule files in this text: one for each manifest in it, or the text itself where it is no manifest.

    Raises BadInput for manifests of which none holds rules, such as a list of other kinds.
    """
    if _KIND not in text:
        return (text,)
    try:
        documents = list(yaml.compose_all(text, Loader=LOADER))
    except (yaml.YAMLError, RecursionError):
        return (text,)  # the reader of the file reports its problems
    manifests = [manifest for document in documents for manifest in _manifests(document)]
    if not manifests:
        return (text,)
    found = [groups for manifest in manifests if (groups := _held_groups(manifest, text)) is not None]
    if not found:
        place = Place(file, manifests[0].start_mark.line + 1)
        raise BadInput(Problem(place, "the PrometheusRule holds no spec.groups", "add spec.groups, or drop the file"))
    return tuple(found)


def _manifests(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    if not isinstance(node, yaml.MappingNode):
        return
    kind = _entry(node, "kind")
    name = kind[1].value if kind else ""
    if name == _KIND:
        yield node
    elif name in ("List", f"{_KIND}List") and (items := _entry(node, "items")):
        for item in items[1].value if isinstance(items[1], yaml.SequenceNode) else ():
            yield from _manifests(item)


def _held_groups(manifest: yaml.MappingNode, text: str) -> str | None:
    spec = _entry(manifest, "spec")
    found = _entry(spec[1], "groups") if spec and isinstance(spec[1], yaml.MappingNode) else None
    if spec is None or not isinstance(spec[1], yaml.MappingNode) or found is None:
        return None
    key, value = found
    begin = key.start_mark
    held = _without_thanos(text[begin.index : value.end_mark.index], value, begin.index)
    lead = "\n" * begin.line
    if spec[1].flow_style:
        return f"{lead}{' ' * (begin.column - 1)}{{{held}}}\n"
    return f"{lead}{' ' * begin.column}{held}\n"


def _without_thanos(held: str, groups: yaml.Node, begin: int) -> str:
    """The operator takes this key out before Prometheus, which refuses it, sees the group."""
    for group in groups.value if isinstance(groups, yaml.SequenceNode) else ():
        found = _entry(group, _THANOS) if isinstance(group, yaml.MappingNode) and not group.flow_style else None
        if found is not None:
            start, end = found[0].start_mark.index - begin, found[1].end_mark.index - begin
            held = held[:start] + " " * (end - start) + held[end:]
    return held


def _entry(node: yaml.MappingNode, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next(((key, value) for key, value in node.value if key.value == name), None)
