"""The arguments of `chaoskit rehearse`: rules and scenarios in one list, templates, what changed since a revision."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from chaoskit.alerting.config_fields import root_of
from chaoskit.alerting.model import AlertConfig, Rule, ScrapeJob
from chaoskit.alerting.prometheus_config import ASSUMED_INTERVAL_S
from chaoskit.alerting.rules import rule_texts, rules_in
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.fresh import fresh
from chaoskit.rehearse.drill import Given
from chaoskit.rehearse.unit_tests import UnitTest
from chaoskit.units import format_duration, parse_duration
from chaoskit.yaml_source import read, read_text

_JOB = "scrape_configs: [{job_name: any}]\n"
EVERY = format_duration(ASSUMED_INTERVAL_S)
ASSUMED = f"global: {{scrape_interval: {EVERY}, evaluation_interval: {EVERY}}}\n{_JOB}"
"""The Prometheus configuration of a rehearsal that is given none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The rules to rehearse and how; `only` names alerts, None means all of them."""

    config: AlertConfig
    interval_s: float
    folder: Path
    promise_given: bool
    time_scale: float | None = None
    longest_real_s: float = 60.0
    only: frozenset[str] | None = None
    notes: tuple[str, ...] = ()
    given: tuple[Given, ...] = ()
    """Scenarios to play instead of deriving series for the alerts that they expect."""
    tests: tuple[UnitTest, ...] = ()
    """Groups of promtool's unit tests, likewise."""
    side_by_side: int | None = None
    """How many stacks at once; None: by the cores, and by how much their waves hold."""
    require_told: bool = False
    """Whether an alert fails where none of its receivers has an integration."""
    doubts: tuple[str, ...] = ()
    """Complaints about the user's files that come from a program older than the user's own."""


def sorted_inputs(inputs: tuple[str, ...]) -> tuple[list[str], list[Given]]:
    """Patterns of rule files, and the scenarios among the files. A file that cannot be read counts as rules, whose
    reader says why."""
    rules: list[str] = []
    scenarios: list[Given] = []
    for given in inputs:
        path = Path(given)
        try:
            if path.is_file() and "steps:" in (text := read_text(path)) and read(text, given, first=True).get("steps"):
                scenarios.append(Given(given, text))
                continue
        except BadInput:
            pass
        rules.append(given)
    return rules, scenarios


def scrape_interval(config: AlertConfig) -> float:
    """The global scrape interval of the Prometheus configuration, in seconds."""
    written = root_of(config.sources, "prometheus").at("global", "scrape_interval")
    return parse_duration(written.raw) if written is not None and written.value else 60.0


def with_a_job(config: AlertConfig) -> AlertConfig:
    """The configuration with a scrape job, one of its own or one added: a rehearsal scrapes its own series."""
    if config.jobs:
        return config
    job = ScrapeJob("any", config.evaluation_interval_s, config.evaluation_interval_s)
    sources = {
        key: f"{re.sub(r'(?m)^scrape_configs:.*$', '', text)}\n{_JOB}" if key.startswith("prometheus:") else text
        for key, text in config.sources.items()
    }
    return replace(config, jobs=(job,), sources=sources)


def changed_alerts(config: AlertConfig, revision: str) -> frozenset[str]:
    """The alerts whose rule, or a rule file's other rules that feed it, is not as it was; raises BadInput."""
    files = dict.fromkeys(
        key.partition(":")[2].partition(" (document")[0] for key in config.sources if key.startswith("rules:")
    )
    before = {file: _rules_at(file, revision) for file in files}
    return frozenset(
        rule.alert for rule in config.rules if rule.alert and _said(rule) not in before.get(rule.place.file, ())
    )


def _said(rule: Rule) -> tuple[object, ...]:
    """The words of a rule, without its place and its line breaks."""
    texts = frozenset(rule.labels.items()), frozenset(rule.annotations.items())
    return (rule.alert, " ".join(rule.expr.split()), rule.for_s, rule.keep_firing_for_s, *texts)


def _rules_at(file: str, revision: str) -> set[tuple[object, ...]]:
    path = Path(file)
    shown = _git(path, "show", f"{revision}:./{path.name}")
    if shown.returncode:
        if _git(path, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").returncode:
            hint = "fetch the revision first: a shallow clone in CI lacks it (fetch-depth: 0)"
            raise BadInput(Problem(Place(file), f"git knows no revision {revision} in this clone", hint))
        before = _renamed_from(path, revision)
        shown = _git(path, "show", f"{revision}:{before}")
        if not before or shown.returncode:
            return set()
    try:
        texts = rule_texts(shown.stdout, file)
    except BadInput:
        return set()
    return {_said(rule) for text in texts for rule in rules_in(text, file) if rule.alert}


def _git(beside: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(beside.absolute().parent), *words]
    return subprocess.run(fresh(command), capture_output=True, text=True, errors="replace", check=False)


def _renamed_from(path: Path, revision: str) -> str:
    """The name that a renamed file had in a revision, from the repository's root; empty for a new file."""
    inside = _git(path, "rev-parse", "--show-prefix").stdout.strip() + path.name
    listed = _git(path, "diff", "--find-renames", "--diff-filter=R", "--name-status", "-z", revision).stdout.split("\0")
    # Triples: R and how alike they are, the old name, the new one.
    return next((listed[n + 1] for n in range(0, len(listed) - 2, 3) if listed[n + 2] == inside), "")
