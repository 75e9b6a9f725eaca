"""A month that misses its target while no alert fires: looked for in a model of the rules, proven by promtool.

The one idea: an alert on a share of a range is silent while too few of the range's scrapes are bad, and one with
several conditions is silent while any of them does not hold. So for each alert one condition is chosen that is kept
below its limit, and scrapes fail as early as all these limits let them. Which condition is kept may change once in the
month: bursts that a long range bears, then single failures that a short one bears. The model only proposes. Whether an
alert fires is said by promtool, of the rules as they are written.

A search that finds nothing has found nothing; it does not show that there is nothing.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaoskit.alerting.expression import Expr
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.routing import matches_all
from chaoskit.check.service_levels import MONTH_S, Condition, Level, Watch
from chaoskit.diff.expressions import below
from chaoskit.errors import EquipmentError
from chaoskit.rehearse.promtool import UNENDED, dumped, rule_entry, run_tests
from chaoskit.units import format_duration

SEARCH_S = 10.0
PROOF_S = 600.0
RULES = "rules.yml"
_COARSEST_S = 300
_AROUND = 240
_ONE = {"labels": "{}", "value": 1}
_SWITCHES = 120
_REQUESTS = 1000
"""That a scrape adds to a counter of everything."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a level's series look: those of a good and of a bad scrape interval, with what each adds or shows."""

    good: Mapping[str, float]
    bad: Mapping[str, float]
    counters: bool


@dataclass(frozen=True, slots=True)
class Silent:
    """A month: these of its scrapes are bad, counted from 0; nothing is bad before it."""

    level: Level
    failed: tuple[int, ...]
    scrapes: int
    scrape_s: float

    @property
    def share(self) -> float:
        return len(self.failed) / self.scrapes

    @property
    def bad_s(self) -> float:
        return len(self.failed) * self.scrape_s

    def __str__(self) -> str:
        what = "down" if self.level.time else "bad"
        return f"{self.bad_s / 60:.2f} min {what} of {self.scrapes * self.scrape_s / 86400:g} days, {self.share:.4%}"


@dataclass(frozen=True, slots=True)
class _Limit:
    """At most `count` bad scrapes among any `window` in a row; with `run`, no more than so many in a row."""

    window: int = 0
    count: int = 0
    run: int | None = None

    def earliest(self, failed: Sequence[int], at: int) -> int:
        """The first scrape from `at` on that may fail as well."""
        if self.run is not None:
            full = len(failed) >= self.run and failed[-1] == at - 1 and failed[-self.run] == at - self.run
            return at + 1 if full else at
        return max(at, failed[-self.count] + self.window) if len(failed) >= self.count else at


def search(
    watches: Sequence[Watch],
    level: Level,
    kind: Kind,
    scrape_s: float,
    clock: Callable[[], float] = time.monotonic,
    within_s: float = SEARCH_S,
) -> Iterator[Silent]:
    """Months that miss the level's target and leave all these alerts silent, as far as the model knows."""
    scrapes = round(MONTH_S / scrape_s)
    until = clock() + within_s
    mine = [each for each in (_limits(one, kind, scrape_s) for one in watches) if each]
    ways = [way for way in itertools.product(*mine) if not any(one.count == 0 and one.run is None for one in way)]
    ways = [way for way in ways if not any(one.run == 0 for one in way)]
    first = {way: _filled((), way, 0, scrapes) for way in ways}
    for number in range(_SWITCHES, 0, -1):
        switch = scrapes * number // _SWITCHES
        for early, late in itertools.product(ways, ways):
            if clock() > until:
                return
            if number == _SWITCHES and early is not late:
                continue
            begun = [at for at in first[early] if at < switch]
            failed = _filled(begun, late, switch, scrapes)
            if _misses(len(failed), scrapes, level):
                yield Silent(level, tuple(failed), scrapes, scrape_s)


def _misses(failed: int, scrapes: int, level: Level) -> bool:
    """Uptime may reach its target; of events less than the allowed share must be bad."""
    limit = round(level.allowed * scrapes, 9)
    return failed > limit if level.time else failed >= limit


def _filled(begun: Sequence[int], way: Sequence[_Limit], at: int, scrapes: int) -> list[int]:
    failed = list(begun)
    while at < scrapes:
        allowed = max((one.earliest(failed, at) for one in way), default=at)
        if allowed == at:
            failed.append(at)
            allowed += 1
        at = allowed
    return failed


def _limits(watch: Watch, kind: Kind, scrape_s: float) -> list[_Limit]:
    """Each condition as what keeps it from holding; empty where the alert does not tell good from bad."""
    return [
        _limit(one, watch, scrape_s, kind.counters)
        for one in watch.conditions
        if not kind.counters or any(_selects(each, kind.good) != _selects(each, kind.bad) for each in one.reads)
    ]


def _limit(one: Condition, watch: Watch, scrape_s: float, counters: bool) -> _Limit:
    if not one.window_s:
        # True from the first bad scrape to the next good one: shorter than `for`.
        return _Limit(run=max(math.ceil(round(watch.rule.for_s / scrape_s, 9)) - 1, 0))
    window = math.floor(one.window_s / scrape_s)
    most = round(one.share * window, 9)
    # A range is closed at both ends before Prometheus 3, so it may hold one sample more, which the proof tells in means
    # of several scrapes; of a counter it holds no step more.
    more = 0 if counters else _per(scrape_s)
    return _Limit(window + more, math.ceil(most) - 1 if one.reached else math.floor(most))


def _selects(node: Expr, some: Iterable[str]) -> bool:
    return any(_takes(node, series) for series in some)


def _takes(node: Expr, series: str) -> bool:
    labels = labels_of(series)
    return labels.pop("__name__") == node.name and matches_all(node.matchers, labels)


def labels_of(series: str) -> dict[str, str]:
    """The labels of a series as promtool writes it, its name among them; values hold no quotes here."""
    name, _, inside = series.partition("{")
    pairs = (each.partition("=") for each in inside.rstrip("}").split(",") if each)
    return {"__name__": name, **{label: value.strip('"') for label, _, value in pairs}}


def written(series: str, **labels: str) -> str:
    """A series as promtool writes it."""
    inside = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f"{series}{{{inside}}}" if inside else series


def holds(found: Silent, kind: Kind, watches: Sequence[Watch]) -> bool:
    """Whether by counting, at each scrape of the month, each alert has a condition that does not hold."""
    bad = [0] * (found.scrapes + 1)
    for at in found.failed:
        bad[at + 1] = 1
    sums = list(itertools.accumulate(bad))
    for limits in filter(None, (_limits(one, kind, found.scrape_s) for one in watches)):
        for end in range(1, found.scrapes + 1):
            if bad[end] and all(_broken(one, sums, end) for one in limits):
                return False
    return True


def _broken(limit: _Limit, sums: Sequence[int], end: int) -> bool:
    window, most = (limit.window, limit.count) if limit.run is None else (limit.run + 1, limit.run)
    return sums[end] - sums[max(end - window, 0)] > most


def documents_of(found: Silent, kind: Kind, config: AlertConfig, watches: Sequence[Watch]) -> list[dict[str, Any]]:
    """The month as test documents for `promtool test rules`: the target is missed, and none of these alerts fires.

    promtool holds 10,000 samples at most, so the whole month is told in means of some scrapes: the ranges of the rules
    are whole numbers of those. Rules that look at single scrapes are asked around the longest failure at the full pace.
    """
    head = {"rule_files": [RULES]}
    ranged = [one for one in watches if all(each.window_s for each in one.conditions)]
    instant = [one for one in watches if one not in ranged]
    per = _per(found.scrape_s)
    longest_s = max((each.window_s for one in ranged for each in one.conditions), default=0.0)
    before = math.ceil(longest_s / (per * found.scrape_s)) + 1
    steps = _steps(found.failed, per, before, -(-found.scrapes // per))
    month = format_duration(found.scrapes * found.scrape_s)
    missed = {"expr": f"{_bad(kind, month)} > bool {_nearly(found.level, kind)}", "exp_samples": [_ONE]}
    texts = [_document(head, f"{found.level.name} is missed in silence: {found}", kind, steps, per * found.scrape_s,
                   per * found.scrape_s, ranged, missed, per)]  # fmt: skip
    if instant and found.failed:
        middle = _longest(found.failed)
        around = [at - middle + _AROUND for at in found.failed if abs(at - middle) <= _AROUND]
        steps = _steps(around, 1, 0, 2 * _AROUND + 1)
        name = f"{found.level.name}: no single failure is long enough"
        texts.append(_document(head, name, kind, steps, found.scrape_s, config.evaluation_interval_s, instant, None, 1))
    return texts


def _per(scrape_s: float) -> int:
    """How many scrapes the proof tells as one mean."""
    return max(math.floor(_COARSEST_S / scrape_s), 1)


def _longest(failed: Sequence[int]) -> int:
    """Where the longest run of failures begins."""
    best, length, begin = failed[0], 0, failed[0]
    for before, at in zip([failed[0] - 2, *failed], failed, strict=False):
        begin = begin if at == before + 1 else at
        if at - begin + 1 > length:
            best, length = begin, at - begin + 1
    return best


def _steps(failed: Iterable[int], per: int, before: int, steps: int) -> list[int]:
    """How many of each step's scrapes failed; the first ones are well."""
    found = [0] * (before + steps)
    for at in failed:
        found[before + at // per] += 1
    return found


def _document(
    head: Mapping[str, Any], name: str, kind: Kind, steps: Sequence[int], step_s: float, every_s: float,
    silent: Sequence[Watch], more: Mapping[str, Any] | None, per: int,
) -> dict[str, Any]:  # fmt: skip
    end = format_duration(len(steps) * step_s)
    names = "|".join(sorted({watch.rule.alert for watch in silent}))
    fired = f'count(count_over_time(ALERTS{{alertname=~"{names}",alertstate="firing"}}[{end}]))'
    asked = [{"expr": fired, "eval_time": end, "exp_samples": []}]
    asked += [{**more, "eval_time": end}] if more else []
    test = {
        "name": name,
        "interval": format_duration(step_s),
        "input_series": [
            {"series": series, "values": _values(series, kind, steps, per)} for series in {**kind.good, **kind.bad}
        ],
        "promql_expr_test": asked,
    }
    return {**head, "evaluation_interval": format_duration(every_s), "tests": [test]}


def _bad(kind: Kind, month: str) -> str:
    """The share of the month that is bad, in PromQL."""
    if not kind.counters:
        (series,) = kind.good
        return f"1 - sum(sum_over_time({series}[{month}])) / sum(count_over_time({series}[{month}]))"
    everything = " + ".join(f"sum(increase({name}[{month}]))" for name in {**kind.good, **kind.bad})
    bad = " + ".join(f"sum(increase({name}[{month}]))" for name in kind.bad)
    return f"({bad}) / ({everything})"


def _nearly(level: Level, kind: Kind) -> str:
    # increase() estimates; what is asked is whether it comes to about the target.
    return f"{level.allowed * (0.99 if kind.counters else 1):.9g}"


def _values(series: str, kind: Kind, steps: Sequence[int], per: int) -> str:
    """A series in promtool's notation, a sample for each step after the first: a mean, or a counter."""
    well, ill = kind.good.get(series, 0.0), kind.bad.get(series, 0.0)
    parts, total = [f"{0.0 if kind.counters else well:.17g}"], 0.0
    for failed, same in itertools.groupby(steps):
        number, value = len(list(same)), well * (per - failed) + ill * failed
        if kind.counters:
            parts.append(f"{total + value:.17g}+{value:.17g}x{number - 1}")
            total += value * number
        else:
            parts.append(f"{value / per:.17g}+0x{number - 1}")
    return " ".join(parts)


def rules_of(config: AlertConfig, watches: Sequence[Watch]) -> dict[str, Any]:
    """A rule file with the watched alerts as written, and the recording rules that they read; without annotations."""
    alerts = {id(one.rule) for one in watches}
    read = {name for one in watches for name in below(config, one.rule.expr)}
    groups: dict[str, dict[str, Any]] = {}
    for rule in config.rules:
        if id(rule) in alerts or rule.record in read:
            group = groups.setdefault(rule.group, {"name": rule.group, "rules": []})
            group["rules"].append(rule_entry(rule))
    return {"groups": list(groups.values())}


def prove(promtool: Path, rules: Mapping[str, Any], documents: Iterable[Mapping[str, Any]], folder: Path) -> str:
    """Asks promtool whether the month is as described: empty if so, else its words. The tests are left in the folder.

    Raises EquipmentError where promtool does not run, or does not end within ten minutes.
    """
    (folder / RULES).write_text(dumped(rules), encoding="utf-8")
    for number, document in enumerate(documents, 1):
        code, said = run_tests(promtool, folder / f"silent-{number}.yml", document, PROOF_S)
        if code == UNENDED:
            raise EquipmentError("promtool", said, "ask again where less goes on beside it")
        if code:
            return said.strip()
    return ""
