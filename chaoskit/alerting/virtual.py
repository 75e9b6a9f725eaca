"""Virtual time: divide every duration of Prometheus and Alertmanager by k, so that one real second is k virtual ones.

A duration is something that the two programs wait for or look back over, and nothing else in their logic depends on
how long a second is. The functions here take parsed configuration files and give compressed ones; they touch no file
and no clock, and do not change what they are given. k = 1 is real time.

Three things stay real: waits for a network peer (`timeout`, http settings, remote write), service discovery, and
Alertmanager's time intervals, which follow the wall clock. Prometheus's and Alertmanager's defaults (scrape and
evaluation interval 1m, scrape_timeout 10s; group_wait 30s, group_interval 5m, repeat_interval 4h, resolve_timeout 5m)
are written out, because a default that is not written cannot be divided.

A rule that cannot be compressed is left out and named, and so is every rule that reads what it would have recorded (or
its `ALERTS`): what is left in the file means the same as before. A recorded rate is divided where it is recorded, so
its readers need nothing. `for` and `keep_firing_for` are waited in evaluations: `for: 1m` at an interval of 15s is the
fourth evaluation after the first. That number is kept when interval and hold are rounded.

A query in a template is compressed where its text stands there as a literal, by itself or as the format of a `printf`
whose verbs stand inside PromQL strings (or are a whole one, `%q`). A query that the template puts together in another
way while it runs cannot be known beforehand and is refused.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from typing import Any

from chaoskit.alerting.config_alertmanager import GROUP_INTERVAL_S, GROUP_WAIT_S, REPEAT_INTERVAL_S
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.prometheus_config import INTERVAL_S, TIMEOUT_S
from chaoskit.alerting.promql import is_instant, metrics, reads_alert, scale
from chaoskit.alerting.promql_durations import (
    CannotScale,
    Rounding,
    Scale,
    as_fraction,
    divide,
    divide_text,
    millis_of,
    nearest_exact_scale,
)
from chaoskit.units import format_duration

_ACTION = re.compile(
    r"""\{\{-?\s*/\*.*?\*/\s*-?\}\}|\{\{(?:"(?:\\.|[^"\\])*"|`[^`]*`|'(?:\\.|[^'\\])*'|(?!\}\}).)*\}\}""", re.DOTALL
)
_WORD = re.compile(
    r"""(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<other>'(?:\\.|[^'\\])*'|[.$]?[A-Za-z_][\w.]*|:=|[^\s\w])"""
)
_VERB = re.compile(r"%[-+# 0]*[0-9]*(?:\.[0-9]+)?[A-Za-z%]")
_MARK = re.compile('\x00([0-9]+)\x00|"\x01([0-9]+)\x01"')
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def scale_template(template: str, k: Fraction, instants: Collection[str] = ()) -> str:
    """The template with every query in it compressed; raises CannotScale for a query that cannot be."""
    if k == 1 or "query" not in template:
        return template
    return _ACTION.sub(lambda action: _scale_action(action[0], k, instants), template)


def queries_of(template: str, labels: Mapping[str, str]) -> Iterator[str]:
    """The queries that a template runs for an alert with these labels, but for one that it puts together meanwhile."""
    for action in _ACTION.findall(template) if "query" in template else ():
        words = [] if action.lstrip("{- \t\n").startswith("/*") else [word[0] for word in _WORD.finditer(action)]
        for at in (i for i, word in enumerate(words) if word == "query"):
            try:
                literal, formatted = _query_text(words, at)
                text = _text_of(words[literal])
            except CannotScale:
                continue
            given = iter(words[literal + 1 :])
            yield _VERB.sub(partial(_filled, given, labels), text) if formatted else text


def _filled(given: Iterator[str], labels: Mapping[str, str], verb: re.Match[str]) -> str:
    if verb[0] == "%%":
        return "%"
    value = labels.get(next(given, "").rpartition(".")[2], "")
    return f'"{value}"' if verb[0] == "%q" else value


def _scale_action(action: str, k: Fraction, instants: Collection[str]) -> str:
    if action.lstrip("{- \t\n").startswith("/*"):
        return action
    words = list(_WORD.finditer(action))
    texts = [word[0] for word in words]
    replaced: dict[int, str] = {}
    for i, text in enumerate(texts):
        if text == "query":
            literal, formatted = _query_text(texts, i)
            replaced[literal] = _scale_literal(texts[literal], formatted, k, instants)
    out, at = "", 0
    for i, new in sorted(replaced.items()):
        out += action[at : words[i].start()] + new
        at = words[i].end()
    return out + action[at:]


def _query_text(words: list[str], at: int) -> tuple[int, bool]:
    """The index of the word with the query's text, and whether that is the format of a printf."""
    following = [*words[at + 1 : at + 4], "", "", ""]
    if _is_string(following[0]):
        return at + 1, False
    if following[:2] == ["(", "printf"] and _is_string(following[2]):
        return at + 3, True
    if at >= 2 and words[at - 1] == "|":
        first = at - 1
        while first > 0 and words[first - 1] not in ("{", "(", ":=", "|", "=", "-", "with", "range", "if"):
            first -= 1
        if _is_string(words[first]) and first == at - 2:
            return first, False
        if words[first] == "printf" and _is_string(words[first + 1]):
            return first + 1, True
    raise CannotScale("query in a template", "the template builds its query while running: chaoskit cannot follow")


def _is_string(word: str) -> bool:
    return word[:1] in ('"', "`") and bool(word)


def _scale_literal(literal: str, formatted: bool, k: Fraction, instants: Collection[str]) -> str:
    text = _text_of(literal)
    scaled = _scale_format(text, k, instants) if formatted else scale(text, k, instants=instants)
    if literal[0] == "`":
        return f"`{scaled}`"
    for escape, char in (("\\", "\\"), ('"', '"'), ("n", "\n"), ("t", "\t"), ("r", "\r")):
        scaled = scaled.replace(char, f"\\{escape}")
    return f'"{scaled}"'


def _text_of(literal: str) -> str:
    """The text of a string of Go; raises CannotScale where an escape in it is not followed."""

    def one(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise CannotScale("query in a template", f"the query's escape {match[0]!r} is not followed")
        return _ESCAPES[match[1]]

    return literal[1:-1] if literal[0] == "`" else re.sub(r"\\(.)", one, literal[1:-1], flags=re.DOTALL)


def _scale_format(text: str, k: Fraction, instants: Collection[str]) -> str:
    """A printf format: its verbs are set aside, and accepted only where the PromQL parser sees a string."""
    verbs: list[str] = []

    def aside(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        verbs.append(match[0])
        return f'"\x01{len(verbs) - 1}\x01"' if match[0] == "%q" else f"\x00{len(verbs) - 1}\x00"

    try:
        scaled = scale(_VERB.sub(aside, text), k, instants=instants).replace("%", "%%")
    except CannotScale as error:
        if error.reason[1:5] != r"\x00":  # how a token is quoted that begins with a verb set aside
            raise
        raise CannotScale("query in a template", "the template fills in more than strings of it") from None
    return _MARK.sub(lambda mark: verbs[int(mark[1] or mark[2])], scaled)


Document = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A rule that was left out: its group, its alert or record name, and why it cannot be compressed."""

    group: str
    rule: str
    reason: str
    number: int
    """Which of all rules it is, from 0."""
    reads: tuple[str, ...] = ()
    """The rules that were left out before, for which it is."""

    def __str__(self) -> str:
        return f"{self.group}/{self.rule}: {self.reason}"


def scale_rules(
    doc: Mapping[str, Any], k: Scale, eval_interval_s: float, *, lost: Iterable[str] = ()
) -> tuple[Document, list[Refusal]]:
    """A rule file (as parsed YAML) for k virtual seconds a second, and the rules that had to be left out.

    `eval_interval_s` is the global evaluation interval before compression, which groups without an interval have.
    `lost` names rules that are left out already: what reads one of them is left out at every k. Of the rules that are
    told, what another one reads comes before it. The document given is not changed; k = 1 gives an equal one.
    """
    factor, scaled = as_fraction(k), copy.deepcopy(dict(doc))
    refused: list[Refusal] = []
    without = {(kind, name) for name in lost for kind in ("record", "alert")}
    if factor == 1 and not without:
        return scaled, []
    groups = scaled.get("groups") or []
    rules = (rule for group in groups for rule in group.get("rules") or [] if "record" in rule)
    known = instant_records((str(rule["record"]), str(rule.get("expr", ""))) for rule in rules)
    every = [(group, *both) for group in groups for both in _scaled_rules(group, factor, eval_interval_s, known)]
    left: list[tuple[int, Document, Document, Document]] = []
    for number, (group, rule, new) in enumerate(every):
        if isinstance(new, CannotScale):
            refused.append(Refusal(str(group.get("name")), name_of(rule), str(new), number))
            without.add(_what(rule))
        else:
            left.append((number, group, rule, new))
    told = -1
    while without and told != len(refused):  # what reads a lost rule is lost, until nothing more is
        told, asked, left = len(refused), left, []
        for number, group, rule, new in asked:
            missing = _read_by(rule, without)
            if missing:
                reason = f"the rule reads {', '.join(missing)}, which is left out"
                refused.append(Refusal(str(group.get("name")), name_of(rule), reason, number, tuple(missing)))
                without.add(_what(rule))
            else:
                left.append((number, group, rule, new))
    for group in groups:
        group["rules"] = []
    for _, group, _, new in left:
        group["rules"].append(new)
    return scaled, refused


def scale_rule_files(
    files: Mapping[str, Document], k: Scale, eval_interval_s: float, *, lost: Iterable[str] = ()
) -> tuple[dict[str, Document], list[Refusal]]:
    """`scale_rules` of several files by name, where a rule may read what another file records."""
    groups = {name: doc.get("groups") or [] for name, doc in files.items()}
    whole, refused = scale_rules({"groups": [*chain.from_iterable(groups.values())]}, k, eval_interval_s, lost=lost)
    scaled = iter(whole["groups"])
    return {name: {**files[name], "groups": [*islice(scaled, len(own))]} for name, own in groups.items()}, refused


def name_of(rule: Mapping[str, Any]) -> str:
    """The name of a rule's alert or record."""
    return str(rule.get("alert") or rule.get("record") or "?")


def instant_records(records: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Of recorded metrics and their expressions, the metrics whose value is a point on the real clock."""
    asked = tuple(records)
    known: frozenset[str] = frozenset()
    while True:
        found = known | {name for name, expr in asked if is_instant(expr, known)}
        if found == known:
            return known
        known = found


def _scaled_rules(
    group: Document, k: Fraction, eval_interval_s: float, instants: frozenset[str]
) -> Iterator[tuple[Document, Document | CannotScale]]:
    """Scales the group's own settings in place; gives each rule with the scaled one, or what speaks against it."""
    rules = group.get("rules") or []
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
        yield from ((rule, fault) for rule in rules)
        return
    for rule in rules:
        try:
            yield rule, _scaled_rule(rule, k, interval, new_interval, instants)
        except CannotScale as fault:
            yield rule, fault


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


def _what(rule: Mapping[str, Any]) -> tuple[str, str]:
    """The kind and name by which other rules read this one: a record by its name, an alert through ALERTS."""
    return ("record" if "record" in rule else "alert", name_of(rule))


def _read_by(rule: Mapping[str, Any], lost: set[tuple[str, str]]) -> list[str]:
    """Which lost records and alerts the rule's expression reads."""
    expr = str(rule.get("expr", ""))
    read = metrics(expr)
    return sorted(name for kind, name in lost if (name in read if kind == "record" else reads_alert(expr, name)))


_DEFAULTS_S = {"scrape_interval": INTERVAL_S, "scrape_timeout": TIMEOUT_S, "evaluation_interval": INTERVAL_S}
_GLOBAL = {key: format_duration(seconds) for key, seconds in _DEFAULTS_S.items()}
_SCRAPING = {
    "scrape_interval": Rounding.PERIOD,
    "scrape_timeout": Rounding.LIMIT,
    "evaluation_interval": Rounding.PERIOD,
    "rule_query_offset": Rounding.SHIFT,
}
_WAITS_S = {"group_wait": GROUP_WAIT_S, "group_interval": GROUP_INTERVAL_S, "repeat_interval": REPEAT_INTERVAL_S}
_ROUTE = {key: format_duration(seconds) for key, seconds in _WAITS_S.items()}
_RESOLVING = {"resolve_timeout": Rounding.WAIT}
_ROUTING = dict.fromkeys(_ROUTE, Rounding.WAIT)
DURATIONS: Mapping[str, Mapping[str, Rounding]] = {"prometheus": _SCRAPING, "alertmanager": _RESOLVING | _ROUTING}
"""By role, the settings that are divided."""
_FLAGS = {
    "query.lookback-delta": ("5m", Rounding.WINDOW),
    "rules.alert.resend-delay": ("1m", Rounding.WAIT),
    "rules.alert.for-grace-period": ("10m", Rounding.WAIT),
    "rules.alert.for-outage-tolerance": ("1h", Rounding.WAIT),
}


def exact_scale(config: AlertConfig, wanted: float, faster: float = 1.0) -> float:
    """The time scale nearest to the wanted one at which every scrape and evaluation interval is whole milliseconds.

    At 60, an interval of 10s would be 166 ms, and thirty of them four virtual tenths too short. `faster` is how many
    times the wanted one it may be at most. Real time stays real time.
    """
    if wanted == 1:
        return wanted
    every_s = {config.evaluation_interval_s, *(job.interval_s for job in config.jobs)}
    every_s |= {rule.interval_s for rule in config.rules}
    return nearest_exact_scale([round(each * 1000) for each in every_s], wanted, wanted * faster)


def prometheus_flags(k: Scale) -> list[str]:
    """The command-line flags that set Prometheus's own durations, from their defaults; raises CannotScale."""
    factor = as_fraction(k)
    return [f"--{flag}={divide_text(text, factor, way, flag)}" for flag, (text, way) in _FLAGS.items()]


def scale_prometheus(doc: Mapping[str, Any], k: Scale) -> Document:
    """A prometheus.yml (as parsed YAML) with every scrape and evaluation duration divided by k.

    Rule files are named there, not contained: `scale_rules` takes them. Raises CannotScale.
    """
    factor, scaled = as_fraction(k), copy.deepcopy(dict(doc))
    if factor == 1:
        return scaled
    if scaled.get("scrape_config_files"):
        raise CannotScale("scrape_config_files", "their jobs are not seen", "put the jobs into scrape_configs")
    settings = dict(scaled.get("global") or {})
    for name, default in _GLOBAL.items():
        settings[name] = settings.get(name) or default
    # Prometheus shortens a timeout that it chose itself to the interval; one that is written out it would refuse.
    if not (doc.get("global") or {}).get("scrape_timeout"):
        both = settings["scrape_timeout"], settings["scrape_interval"]
        settings["scrape_timeout"] = min(both, key=lambda text: millis_of(text, "scrape_timeout"))
    scaled["global"] = _divided(settings, factor, _SCRAPING, "global")
    for job in scaled.get("scrape_configs") or []:
        job.update(_divided(job, factor, _SCRAPING, f"job {job.get('job_name')}"))
    return scaled


def scale_alertmanager(doc: Mapping[str, Any], k: Scale) -> Document:
    """An alertmanager.yml (as parsed YAML) with the waits of every route divided by k; raises CannotScale."""
    factor, scaled = as_fraction(k), copy.deepcopy(dict(doc))
    if factor == 1:
        return scaled
    settings = dict(scaled.get("global") or {})
    settings["resolve_timeout"] = settings.get("resolve_timeout") or "5m"
    scaled["global"] = _divided(settings, factor, _RESOLVING, "global")
    root = dict(scaled.get("route") or {})
    for name, default in _ROUTE.items():
        # A written 0s is a wait of nothing, not a missing one.
        root[name] = default if root.get(name) is None else root[name]
    scaled["route"] = _scaled_route(root, factor, "route")
    return scaled


def _divided(settings: Document, k: Fraction, ways: Mapping[str, Rounding], where: str) -> Document:
    """The settings, those among them that are durations divided by k."""
    changed = {
        name: divide_text(settings[name], k, way, f"{name} of {where}")
        for name, way in ways.items()
        if settings.get(name) not in (None, "")
    }
    return {**settings, **changed}


def _scaled_route(route: Document, k: Fraction, where: str) -> Document:
    scaled = _divided(route, k, _ROUTING, where)
    children = scaled.get("routes")
    if children:
        scaled["routes"] = [_scaled_route(child, k, f"{where}.routes[{i}]") for i, child in enumerate(children)]
    return scaled
