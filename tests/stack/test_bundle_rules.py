"""The shipped rules under promtool: they do what is documented, and the tests would notice if they did not.

The worker group is tested by promtool's own file (tests/bundle_rules/worker.yml), service levels of several targets by
another, the others by tables. Each
generation of Prometheus that is installed has its turn, one that lies between two others in `make test-long`. Every
alert is given what it reads of its own group and nothing else, so a rule that needs another group fails here.
"""

from __future__ import annotations

import copy
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaoskit.bundle import folder
from chaoskit.stack.binaries import Binaries
from chaoskit.units import format_duration, parse_duration
from tests.bundle_rules import CASES
from tests.bundle_rules.case import FILES, Case, document
from tests.generations import GENERATIONS, in_turn, programs

pytestmark = pytest.mark.stack

PROMTOOL_FILES = sorted((Path(__file__).parents[1] / "bundle_rules").glob("*.yml"))
RULES = "../../chaoskit/bundle/prometheus_alerts.yml"
WORKER = "insa-crm-worker"
INSTALLED = pytest.mark.parametrize("suite", [*GENERATIONS, "forky"])
"""forky has Prometheus 3; where it is not installed its tests are skipped, like the other generations'."""

Rule = dict[str, Any]
Group = dict[str, Any]

SPOILT = {
    "a single worker is enough for MultipleWorkersDown": ("== 0) >= 2", "== 0) >= 1"),
    "MultipleWorkersDown needs three": ("== 0) >= 2", "== 0) >= 3"),
    "MultipleWorkersDown counts workers whatever their health": (
        "(insa_worker_health_status == 0)",
        "(insa_worker_health_status)",
    ),
    "MultipleWorkersDown mixes environments": ("count by (environment)", "count"),
    "MultipleWorkersDown fires early": ("for: 2m", "for: 1m45s"),
    "MultipleWorkersDown fires late": ("for: 2m", "for: 2m15s"),
    "WorkerUnhealthy is about healthy workers": (
        "expr: insa_worker_health_status == 0",
        "expr: insa_worker_health_status == 1",
    ),
    "WorkerUnhealthy loses the worker's name": (
        "expr: insa_worker_health_status == 0",
        "expr: min without (worker_name) (insa_worker_health_status) == 0",
    ),
    "WorkerUnhealthy fires early": ("for: 1m\n", "for: 45s\n"),
    "WorkerUnhealthy fires late": ("for: 1m\n", "for: 1m15s\n"),
    "WorkerUnhealthy lingers": ("for: 1m\n", "for: 1m\n        keep_firing_for: 15s\n"),
    "100 tasks are enough": ("> 100", ">= 100"),
    "101 tasks are not enough": ("> 100", "> 101"),
    "WorkerHighQueueDepth fires early": ("for: 5m", "for: 4m45s"),
    "WorkerHighQueueDepth fires late": ("for: 5m", "for: 5m15s"),
    "two restarts are enough": (") >= 3", ") >= 2"),
    "three restarts are not enough": (") >= 3", ") > 3"),
    "restarts are counted over 14 minutes": ("[15m]", "[14m]"),
    "restarts are counted over 16 minutes": ("[15m]", "[16m]"),
    "a reset counts as restarts": ("[15m]) > 0\n            or", "[15m]) > 9\n            or"),
    "after a reset nothing is counted": (
        "floor(increase(insa_worker_restarts_total[15m]))",
        "0 * insa_worker_restarts_total",
    ),
    "restarts are extrapolated": (
        "max_over_time(insa_worker_restarts_total[15m]) -",
        "increase(insa_worker_restarts_total[15m]) - 0 *",
    ),
    "restarts between two scrapes count as one": (
        "max_over_time(insa_worker_restarts_total[15m]) -",
        "changes(insa_worker_restarts_total[15m]) - 0 *",
    ),
    "an alert has another severity": ("severity: critical", "severity: warning"),
    "an alert has another team": ("team: platform", "team: infrastructure"),
}


def promtool(binaries: Binaries, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """It collects garbage seldom: that is a fifth of its processor time."""
    command, rarely = [str(binaries.promtool), *map(str, arguments)], {**os.environ, "GOGC": "400"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=rarely)


def groups(text: str) -> dict[str, Group]:
    return {group["name"]: group for group in yaml.safe_load(text)["groups"]}


SHIPPED = {name: group for file in FILES for name, group in groups((folder() / file).read_text()).items()}
GROUP_OF = {rule["alert"]: name for name, group in SHIPPED.items() for rule in group["rules"] if "alert" in rule}


def written(group: Group, file: Path) -> Path:
    file.write_text(yaml.safe_dump({"groups": [group]}, sort_keys=False), encoding="utf-8")
    return file


def needed(group: Group, alert: str, told: bool = True) -> Group:
    """The alert and the records that it reads, through others too and where `told` for what it says, in their order."""
    names, before = {alert}, 0
    while before != len(names):
        before = len(names)
        texts = str([rule if told else rule["expr"] for rule in group["rules"] if name_of(rule) in names])
        names |= {rule["record"] for rule in group["rules"] if rule.get("record", texts + "?") in texts}
    return {**group, "rules": [rule for rule in group["rules"] if name_of(rule) in names]}


def name_of(rule: Rule) -> str:
    return str(rule.get("alert") or rule["record"])


def promtool_file(alert: str, group: Group, cases: list[Case], place: Path) -> Path:
    """A promtool test file for these cases of the alert, beside a rule file with what it reads of this group."""
    rules = written(needed(group, alert), place / f"{alert}.rules.yml")
    file = place / f"{alert}.yml"
    file.write_text(yaml.safe_dump(document(cases, rules.name), sort_keys=False), encoding="utf-8")
    return file


@pytest.mark.outermost
@INSTALLED
def test_promtool_accepts_the_configuration_and_every_rule_file(suite: str) -> None:
    binaries = programs(suite)
    done = promtool(binaries, "check", "config", folder() / "prometheus_config.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool(binaries, "check", "rules", "--lint=all", "--lint-fatal", *(folder() / name for name in FILES))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.outermost
@INSTALLED
@pytest.mark.parametrize("file", PROMTOOL_FILES, ids=lambda file: file.stem)
def test_the_rules_keep_what_their_tests_ask(suite: str, file: Path) -> None:
    done = promtool(programs(suite), "test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


# The generations differ in the edges of a range, not by alert: each has every second alert, and all in test-long.
@pytest.mark.parametrize(("suite", "alert"), in_turn(dict.fromkeys(case.alert for case in CASES)))
def test_an_alert_keeps_what_its_table_asks(suite: str, alert: str, tmp_path: Path) -> None:
    cases = [case for case in CASES if case.alert == alert]
    done = promtool(programs(suite), "test", "rules", promtool_file(alert, SHIPPED[GROUP_OF[alert]], cases, tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_wrong_rule_is_noticed(binaries: Binaries, tmp_path: Path, spoilt: str) -> None:
    right, wrong = SPOILT[spoilt]
    text = (folder() / "prometheus_alerts.yml").read_text(encoding="utf-8")
    group = groups(text.replace(right, wrong))[WORKER]
    assert group != groups(text)[WORKER]
    rules = written(group, tmp_path / "rules.yml")
    checked = promtool(binaries, "check", "rules", rules)
    assert checked.returncode == 0, "the spoilt rules must still load, or they prove nothing: " + checked.stderr
    asked = yaml.safe_load(next(file for file in PROMTOOL_FILES if file.stem == "worker").read_text(encoding="utf-8"))
    changed = {
        name_of(one)
        for one, as_shipped in zip(group["rules"], SHIPPED[WORKER]["rules"], strict=True)
        if one != as_shipped
    }
    own = [test for test in asked["tests"] if test["name"].split()[0] in changed]
    file = tmp_path / "asked.yml"
    file.write_text(yaml.safe_dump({**asked, "rule_files": [rules.name], "tests": own}), encoding="utf-8")
    done = promtool(binaries, "test", "rules", file)
    assert done.returncode, f"no test noticed that {spoilt}"
    assert "FAILED" in done.stdout + done.stderr


_LIMIT = re.compile(r"([<>]=?) ([0-9.]+)(?!\))")
"""A comparison in an alert's own expression: its sign and its threshold."""


def shifted(step: float) -> Callable[[Rule, Group, int], None]:
    def change(rule: Rule, group: Group, step_s: int) -> None:
        if "for" in rule:
            rule["for"] = format_duration(parse_duration(rule["for"]) + step * step_s)

    return change


def threshold(harder: bool) -> Callable[[Rule, Group, int], None]:
    """Six per cent beside the threshold, or one where it is a count."""

    def moved(found: re.Match[str]) -> str:
        sign, limit = found[1], float(found[2])
        up = harder is (sign[0] == ">")
        step = 1 if limit == int(limit) and "." not in found[2] and (limit < 10 or limit > 40) else limit * 0.06
        return f"{sign} {limit + (step if up else -step):g}"

    def change(rule: Rule, group: Group, step_s: int) -> None:
        rule["expr"] = _LIMIT.sub(moved, rule["expr"])

    return change


def silenced(rule: Rule, group: Group, step_s: int) -> None:
    rule["expr"] = f"({rule['expr']}) and on () vector(0) > 0"


def lingering(rule: Rule, group: Group, step_s: int) -> None:
    kept_s = parse_duration(rule.get("keep_firing_for", "0s"))
    rule["keep_firing_for"] = format_duration(kept_s + 2 * step_s)


def mixed(rule: Rule, group: Group, step_s: int) -> None:
    for each in group["rules"]:
        each["expr"] = re.sub(r"by \(environment(, )?", "by (", each["expr"])


def late_records(rule: Rule, group: Group, step_s: int) -> None:
    group["rules"].reverse()


def without_window(side: int) -> Callable[[Rule, Group, int], None]:
    def change(rule: Rule, group: Group, step_s: int) -> None:
        sides = re.split(r"\n\s+and ", rule["expr"])
        rule["expr"] = sides[side % len(sides)]

    return change


ALWAYS = frozenset({"Watchdog"})
LASTING = ("is silent at the threshold, however long", "is silent just below the rate")
DAMAGE: Mapping[str, tuple[Callable[[Rule, Group, int], None], Callable[[Case], object]]] = {
    "fires one evaluation early": (shifted(-1), lambda case: case.fires),
    "fires one evaluation late": (shifted(1), lambda case: case.fires),
    "never fires": (silenced, lambda case: case.fires),
    "ends late": (lingering, lambda case: case.fires),
    "has a higher threshold": (threshold(harder=True), lambda case: case.fires),
    "has a lower threshold": (threshold(harder=False), lambda case: case.title in LASTING),
    "mixes environments": (mixed, lambda case: case.title == "keeps environments apart"),
    "reads what is recorded after it": (late_records, lambda case: case.fires),
    "looks at the long window only": (without_window(0), lambda case: case.probes),
    "looks at the short window only": (without_window(1), lambda case: case.probes),
}


# Whatever notices that a rule fires an evaluation late notices these as well.
AS_LATE = ("never fires", "reads what is recorded after it")


@pytest.mark.parametrize(
    "damage", [pytest.param(each, marks=pytest.mark.long if each in AS_LATE else ()) for each in DAMAGE]
)
def test_damage_to_any_rule_is_noticed(binaries: Binaries, tmp_path: Path, damage: str) -> None:
    """Whatever it can be done to: a table that would not notice proves nothing."""
    change, concerns = DAMAGE[damage]

    def unnoticed(alerts: Iterable[str], most: int | None) -> list[str]:
        """Those of which not one of their shortest cases fails."""
        files = {}
        for alert in alerts:
            cases = sorted((one for one in CASES if one.alert == alert and concerns(one)), key=lambda one: one.lasts)
            if not cases or alert in ALWAYS:
                continue
            group = copy.deepcopy(SHIPPED[GROUP_OF[alert]])
            (rule,) = (rule for rule in group["rules"] if rule.get("alert") == alert)
            change(rule, group, cases[0].step_s)
            if needed(group, alert, told=False) != needed(SHIPPED[GROUP_OF[alert]], alert, told=False):
                files[alert] = promtool_file(alert, group, cases[:most], tmp_path)
        assert files
        done = promtool(binaries, "test", "rules", *files.values())
        passed = re.findall(r"^Unit Testing: +(\S+)\n +SUCCESS", done.stdout, re.M)
        assert "FAILED" in done.stdout + done.stderr
        return [alert for alert, file in files.items() if str(file) in passed]

    left = unnoticed(GROUP_OF, 1)
    left = unnoticed(left, None) if left else []
    assert not left, f"no case notices that {', '.join(left)} {damage}"
