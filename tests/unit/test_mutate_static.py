"""Mutants judged by `check`: noticed, refused, equivalent or left for a run; and neutral changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from chaoskit import bundle as shipped
from chaoskit.alerting.config import ConfigFiles, load_config, load_texts
from chaoskit.alerting.expression import expression
from chaoskit.alerting.model import Matcher
from chaoskit.check.lint_context import LintContext
from chaoskit.cli import run
from chaoskit.cli.check import beside
from chaoskit.errors import EquipmentError
from chaoskit.mutate import static
from chaoskit.mutate.docs import rendered
from chaoskit.mutate.equivalence import equivalent, narrowed
from chaoskit.mutate.generate import mutants_of
from chaoskit.mutate.model import Mutant, applied
from chaoskit.mutate.source import Text, files_of, mutated, texts_of
from chaoskit.mutate.static import Ground, judge_all
from chaoskit.run.planning import ask_plans
from chaoskit.stack.binaries import Tool
from chaoskit.stack.original import checkers
from tests.check_examples import ALERTMANAGER, METRICS, PROFILE, PROMETHEUS, PROMISE, RULES, SCENARIO


def ground_of(files: dict[tuple[str, str], str], asked: bool) -> Ground:
    """The shipped scenarios, profiles and metrics beside these files."""
    found, profiles, plannable, known, runbooks, levels = beside(ConfigFiles(), None, None, None, [])
    config = load_texts(texts_of(files), complete=False)
    facts = LintContext(config, found, profiles, known, runbooks, {}, levels)
    return Ground(files, facts, plannable, checkers() if asked else {})


@pytest.fixture(scope="module")
def ground() -> Ground:
    return ground_of(files_of(load_config(shipped.folder())), asked=False)


@pytest.fixture(scope="module")
def mutants(ground: Ground) -> list[Mutant]:
    return mutants_of(ground.texts)


def why(ground: Ground, mutant: Mutant) -> str:
    new = load_texts(mutated(ground.files, ground.given, mutant), complete=False)
    return equivalent(ground.config, new, mutant, ground.sections(mutant))


def test_a_setting_equal_to_the_inherited_one_may_go(ground: Ground, mutants: list[Mutant]) -> None:
    """Level 1: route 7 says what the root says; route 1 does not."""
    found = {m.site: why(ground, m) for m in mutants if m.operator == "route-interval-inherited"}
    assert found["route 7.group_interval"] == "the same as inherited"
    assert found["route 1.group_interval"] == ""


@pytest.mark.parametrize(("new", "same"), [("50s", True), ("46s", True), ("45s", False), ("61s", False)])
def test_times_are_the_same_in_whole_evaluations(ground: Ground, new: str, same: bool) -> None:
    """Level 1: the groups are evaluated every 15 s, so 50 s are as good as 60 s."""
    mutant = changed(ground, "rules", "        for: 1m\n", f"        for: {new}\n")
    assert why(ground, mutant) == ("the same in whole evaluations" if same else "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('max_over_time(x{to="a"}[5m]) - min_over_time(x{to="a"}[5m])', "max_over_time(x[5m]) - x", False),
        ('rate(x{to="a"}[5m]) - rate(y{to="a"}[5m])', 'rate(x[5m]) - rate(y{to="a"}[5m])', True),
        ('rate(x{to="a"}[5m]) - rate(y{to="a"}[5m])', 'rate(x{to="a"}[5m]) - rate(y[5m])', True),
        ('x{to="a"} unless resets(x{to="a"}[5m]) > 0', 'x{to="a"} unless resets(x[5m]) > 0', True),
        ('x{to="a"} unless resets(x{to="a"}[5m]) > 0', 'x unless resets(x{to="a"}[5m]) > 0', False),
        ('x{to="a"} and -y{to="a"}', 'x and -y{to="a"}', True),
        ('x{to="a"} or y{to="a"}', 'x{to="a"} or y', False),
        ('(x{to="a"} or y{to="a"}) * z', '(x{to="a"} or y{to="a"}) * z{to="a"}', True),
        ('x{to="a"} / on (job) y{to="a"}', 'x{to="a"} / on (job) y', False),
        ('x{to="a"} / ignoring (to) y{to="a"}', 'x{to="a"} / ignoring (to) y', False),
        ('x{to="a"} / on (job) group_left y{to="a"}', 'x / on (job) group_left y{to="a"}', False),
        ('sum by (job) (x{to="a"}) / sum by (job) (y{to="a"})', 'sum by (job) (x) / sum by (job) (y{to="a"})', False),
        ('x{to="a"} - absent(y{to="a"})', 'x{to="a"} - absent(y)', False),
        ('x{to="a"} - max_over_time(y{to="a"}[5m:1m])', 'x{to="a"} - max_over_time(y[5m:1m])', False),
        ('{__name__=~"x|y", to="a"} - z{to="a"}', '{__name__=~"x|y"} - z{to="a"}', False),
    ],
)
def test_a_matcher_that_the_other_side_of_an_operator_has_may_go(one: str, other: str, same: bool) -> None:
    """Level 1: results of both sides have the same labels, as long as nothing between adds, takes or joins some."""
    nothing: frozenset[Matcher] = frozenset()
    assert (narrowed(expression(one), nothing) == narrowed(expression(other), nothing)) is same


def test_the_breakers_counts_ask_for_the_state_twice(ground: Ground, mutants: list[Mutant]) -> None:
    """Level 1: of the four selectors of such a record only the one behind `or` counts for itself."""
    site = "instance_breaker:insa_circuit_breaker_closings:count10m.expr"
    found = [why(ground, m) for m in mutants if (m.site, m.operator) == (site, "matcher-dropped")]
    assert found == [*["the other side of the operator asks for the same labels"] * 3, ""]


def test_routes_that_no_alert_tells_apart_may_change_places(ground: Ground, mutants: list[Mutant]) -> None:
    """Level 2: components exclude each other, while route 1 takes what is critical out of all of them."""
    found = {m.site: why(ground, m) for m in mutants if m.operator == "route-swapped"}
    assert found["route 4 and the next"] == "every alert reaches the same receivers at the same times as before"
    found = {m.site: why(ground, m) for m in mutants if m.operator == "continue-toggled"}
    assert found["route 1.continue"] == ""
    assert found["route 7.continue"] == "every alert reaches the same receivers at the same times as before"


def test_what_an_empty_diff_does_not_prove_is_not_called_equivalent(ground: Ground, mutants: list[Mutant]) -> None:
    """The three classes of which `diff` says nothing: records that only annotations read, prometheus.yml, `equal`."""
    records = [m for m in mutants if m.about.startswith("environment_agent:")]
    routing = [m for m in mutants if m.operator == "equal-added"]
    refused = "scrape-interval-shorter"
    prometheus = [m for m in mutants if m.role == "prometheus" and m.operator != refused]
    assert (len(records) >= 60, len(routing) >= 6, len(prometheus) >= 10) == (True, True, True)
    # Those of a record are read alike: every third stands for its neighbours.
    for mutant in (*records[::3], *routing, *prometheus):
        assert why(ground, mutant) == "", mutant


def test_no_plan_but_those_that_are_asked_again_says_anything_else_of_a_mutant(
    ground: Ground, mutants: list[Mutant]
) -> None:
    """A plan knows the expressions and texts of no alert that its scenario does not name; it knows all the rest."""
    texts = [m for m in mutants if m.role == "template" or m.site.endswith(".expr") or ".annotations." in m.site]
    rest = [m for m in mutants if m not in texts]
    assert all(ground.may_differ(m) is ground.beside.scenarios for m in rest)
    bare = next(m for m in texts if m.operator == "comparison-dropped" and m.about == "HighErrorRate")
    record = next(m for m in texts if m.operator == "metric-misspelt" and m.about.startswith("environment:"))
    for mutant in (bare, record, *texts[::150]):
        asked = ground.may_differ(mutant)
        assert len(asked) < len(ground.beside.scenarios)
        new = load_texts(mutated(ground.files, ground.given, mutant), complete=False)
        others = [each for each in ground.beside.scenarios if each not in asked]
        assert ask_plans(others, ground.plannable, new) == (), mutant
    told = ground.noticed(bare, load_texts(mutated(ground.files, ground.given, bare), complete=False))
    assert told is not None
    assert told.by == "scenario-plan"


def test_texts_and_addresses_are_never_equivalent(ground: Ground, mutants: list[Mutant]) -> None:
    """`diff` sees neither the relay nor what a template that is missing means."""
    for mutant in mutants:
        if mutant.operator in ("global-changed", "template-name-misspelt") or mutant.role == "template":
            assert equivalent(ground.config, ground.config, mutant, ground.sections(mutant)) == ""


def changed(ground: Ground, role: str, old: str, new: str) -> Mutant:
    """A change by hand."""
    file = next(name for r, name in ground.files if r == role)
    text = ground.files[role, file]
    assert old in text
    start = text.index(old)
    edits = Text(role, file, text).edits([(start, start + len(old), new)])  # type: ignore[arg-type]
    return Mutant(f"{start}-{len(new)}", "by hand", role, file, edits, "by hand")  # type: ignore[arg-type]


NEUTRAL = [
    ("rules", "groups:\n", "groups: # all of them\n"),
    ("rules", "      - alert: WorkerUnhealthy\n", "      # One more comment.\n      - alert: WorkerUnhealthy\n"),
    ("rules", "        for: 1m\n", "        for: 60s\n"),
    ("rules", "        for: 2m\n", "        for: 1m60s\n".replace("1m60s", "120s")),
    ("rules", "        for: 5m\n", "        for: 300s\n"),
    ("rules", "        for: 10m\n", "        for: '10m'\n"),
    ("rules", "keep_firing_for: 7m", "keep_firing_for: 420s"),
    ("rules", "          severity: critical\n          component: worker\n",
     "          component: worker\n          severity: critical\n"),
    ("rules", "        labels:\n          severity: warning\n          component: worker\n          team: platform\n",
     "        labels: {severity: warning, component: worker, team: platform}\n"),
    ("rules", "expr: insa_worker_health_status == 0", "expr: 'insa_worker_health_status == 0'"),
    ("rules", "expr: insa_worker_queue_depth > 100", "expr: |-\n          insa_worker_queue_depth\n            > 100"),
    ("rules", "expr: insa_worker_queue_depth > 100", "expr: insa_worker_queue_depth > 1e2"),
    ("rules", "insa_dead_letter_queue_size > 50", "insa_dead_letter_queue_size > 50.0"),
    ("rules", "insa_dead_letter_queue_size > 200", "(insa_dead_letter_queue_size > 200)"),
    ("rules", 'rate(insa_agent_requests_total{status="error"}[5m])',
     "rate(insa_agent_requests_total{status='error'}[300s])"),
    ("rules", "sum by (environment, agent) (rate(insa_agent_requests_total{",
     "sum by (agent, environment) (rate(insa_agent_requests_total{"),
    ("rules", "  - name: insa-crm-api\n    rules:\n", "  - name: insa-crm-api\n    interval: 15s\n    rules:\n"),
    ("rules", "summary: '{{ $value }} workers are down'", 'summary: "{{ $value }} workers are down"'),
    ("alertmanager", "route:\n", "# Who hears of what.\nroute:\n"),
    ("alertmanager", "  group_wait: 30s\n", "  group_wait: 30000ms\n"),
    ("alertmanager", "      repeat_interval: 1h\n", "      repeat_interval: 60m\n"),
    ("alertmanager", "      receiver: critical-alerts\n      group_wait: 10s\n",
     "      group_wait: 10s\n      receiver: critical-alerts\n"),
    ("alertmanager", "    - matchers:\n        - 'component=\"dlq\"'\n", "    - matchers: [component=\"dlq\"]\n"),
    ("alertmanager", "'component=\"system\"'", "component = \"system\""),
    ("alertmanager", "  group_by: [alertname, severity, component]", "  group_by: [component, alertname, severity]"),
    ("alertmanager", "        send_resolved: true\n", "        send_resolved: yes\n"),
    ("alertmanager", "    equal: [environment]\n", "    equal:\n      - environment\n"),
    ("prometheus", "  scrape_interval: 15s\n", "  scrape_interval: 15000ms\n"),
    ("prometheus", "rule_files:\n", "# What is evaluated.\nrule_files:\n"),
    ("prometheus", "'localhost:9093'", '"localhost:9093"'),
]  # fmt: skip


def test_changes_of_nothing_but_the_writing_are_killed_by_nothing(ground: Ground) -> None:
    """Comments, order, formatting, equal durations: 30 of them, promtool and amtool asked as well."""
    assert len(NEUTRAL) == 30
    neutral = [changed(ground, *each) for each in NEUTRAL]
    few = replace(ground.beside, scenarios=ground.beside.scenarios[::6], _lines={})
    asked = replace(ground, beside=few, tools=checkers())
    outcomes = judge_all(asked, neutral)
    assert [(each.mutant.edits, each.by) for each in outcomes if each.status not in ("equivalent", "execute")] == []


def test_a_harmful_change_by_hand_is_killed_all_the_same(ground: Ground) -> None:
    """The test above can fail."""
    spoilt = [changed(ground, "rules", "        for: 1m\n", "        for: 75s\n")]
    assert [(each.status, "promise-for" in each.by) for each in judge_all(ground, spoilt)] == [("killed", True)]


def test_many_mutants_are_judged_side_by_side_as_they_are_one_after_the_other(
    ground: Ground, mutants: list[Mutant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an order of their own, and told in that of the caller; what ends one process ends the command."""
    some = [*mutants[::400], *mutants[1:3]][::-1]
    few = replace(ground, beside=replace(ground.beside, scenarios=ground.beside.scenarios[::10], _lines={}))
    alone = judge_all(few, some)
    monkeypatch.setattr(static, "_TOGETHER", 2)
    told: list[int] = []
    assert judge_all(few, some, told.append) == alone
    assert [each.mutant for each in alone] == some
    assert (told[-1], len(told)) == (len(some), -(-len(some) // 2))
    nowhere = Tool("amtool", Path("/nowhere/amtool"), "0")
    with pytest.raises(EquipmentError, match="/nowhere/amtool"):
        judge_all(replace(few, tools={"amtool": nowhere}), [m for m in mutants if m.operator == "text-emptied"][:3])
    monkeypatch.setattr(static, "_judged", lambda ground, share: os._exit(3))
    with pytest.raises(EquipmentError, match=r"judge-[12].*ended with 3 before: the outcomes of its mutants"):
        judge_all(few, some)


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team's own folder, scenario and profile, where they are called."""
    for name, text in (
        ("alerts/rules.yml", RULES),
        ("alerts/alertmanager.yml", ALERTMANAGER),
        ("alerts/prometheus.yml", PROMETHEUS),
        ("alerts/notification_windows.yml", PROMISE),
        ("alerts/metrics.txt", METRICS),
        ("scenarios/one.yml", SCENARIO),
        ("profiles/own.yml", PROFILE),
    ):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


Called = Callable[..., tuple[int, str]]


@pytest.fixture
def called(capsys: pytest.CaptureFixture[str]) -> Called:
    def call(*argv: str) -> tuple[int, str]:
        code = run(["mutate", *argv])
        said = capsys.readouterr()
        return code, said.out or said.err

    return call


def statuses(said: str) -> dict[tuple[str, str], str]:
    return {(each["operator"], each["site"]): each["status"] for each in json.loads(said)}


def test_a_team_hears_which_changes_check_notices_and_which_it_does_not(team: Path, called: Called) -> None:
    only = ("for-longer", "metric-misspelt", "threshold-easier", "rule-file-dropped")
    code, said = called("--bundle", "alerts", "--format", "json", "--no-programs", *(f"--only={id_}" for id_ in only))
    found = statuses(said)
    assert code == 0
    assert found["for-longer", "WorkerDown.for"] == "killed"
    assert found["metric-misspelt", "WorkerDown.expr"] == "killed"
    assert found["threshold-easier", "ManyErrors.expr"] == "execute"
    assert found["rule-file-dropped", "rule_files.rules.yml"] == "killed"
    assert {*found.values()} <= {*static.STATUSES}


def test_without_a_promise_less_is_noticed(team: Path, called: Called) -> None:
    """Files named one by one, as for `check`; rules may be arguments."""
    code, said = called(
        "alerts/rules.yml", "--alertmanager", "alerts/alertmanager.yml", "--format", "json", "--no-programs",
        "--alert", "WorkerDown",
    )  # fmt: skip
    assert (code, statuses(said)["for-longer", "WorkerDown.for"]) == (0, "execute")
    assert {each["about"] for each in json.loads(said)} == {"WorkerDown"}


def test_what_is_wrong_beforehand_ends_it(team: Path, called: Called) -> None:
    rules = team / "alerts" / "rules.yml"
    rules.write_text(RULES.replace("for: 1m", "for: 3m", 1))
    code, said = called("--bundle", "alerts", "--no-programs")
    assert (code, "promise-for" in said) == (2, True)


def test_amtool_is_asked_about_texts_that_differ(team: Path, called: Called) -> None:
    (team / "alerts" / "alertmanager.yml").write_text(
        ALERTMANAGER.replace("send_resolved: true", "send_resolved: true\n        text: '{{ template \"x\" . }}'", 1)
        + "templates: [x.tmpl]\n"
    )
    (team / "alerts" / "x.tmpl").write_text('{{ define "x" }}{{ .Status }}{{ end }}\n')
    only = [f"--only={id_}" for id_ in ("template-name-misspelt", "templates-unloaded", "text-emptied")]
    code, said = called("--bundle", "alerts", "--format", "json", *only)
    assert code == 0
    assert {(each["operator"], each["status"], each["by"]) for each in json.loads(said)} == {
        ("template-name-misspelt", "killed", "template-fails"),
        ("templates-unloaded", "killed", "template-fails"),
        ("text-emptied", "execute", ""),
    }


@pytest.mark.parametrize(
    ("role", "old", "new", "by"),
    [
        ("rules", "{{ $value }} workers are down", "{{ $value | humanise }} workers are down", "promtool"),
        ("prometheus", "'localhost:9091'", "'http://localhost:9091/'", "promtool"),
        ("alertmanager", "smtp_require_tls: false", "smtp_require_tls: maybe", "amtool"),
        ("template", '{{ define "insa.html" -}}', '{{ defin "insa.html" -}}', "amtool"),
        ("rules", "        for: 1m\n", "        for: a minute\n", "reading"),
    ],
)
def test_what_programs_and_the_reader_refuse_is_refused(ground: Ground, role: str, old: str, new: str, by: str) -> None:
    spoilt = changed(ground, role, old, new)
    assert [(each.status, each.by) for each in judge_all(replace(ground, tools=checkers()), [spoilt])] == [
        ("refused", by)
    ]


def test_mutants_are_listed_and_shown(team: Path, called: Called) -> None:
    code, said = called("--bundle", "alerts", "--list", "--only", "for-longer", "--format", "json")
    first = next(each for each in json.loads(said) if each["about"] == "WorkerDown")
    assert (code, first["edits"]) == (0, [{"line": 15, "column": 14, "old": "2m", "new": "4m"}])
    code, said = called("--bundle", "alerts", "--show", first["id"][:6])
    assert (code, "-        for: 2m\n+        for: 4m\n" in said, "should be noticed by: hold" in said) == (
        0,
        True,
        True,
    )
    code, said = called("--bundle", "alerts", "--list", "--sample", "5", "--seed", "1")
    assert (code, "5 mutants" in said) == (0, True)


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (("--list", "--only", "for-longr"), "did you mean 'for-longer'?"),
        (("--list", "--alert", "WorkerDwn"), "did you mean 'WorkerDown'?"),
        (("--show", "ffffffffff"), "--list tells them"),
        (("--list", "--static"), "give one of them"),
        (("--template", "none/*.tmpl"), "--template leads to no file"),
    ],
)
def test_what_cannot_be_meant_is_told(team: Path, called: Called, argv: tuple[str, ...], hint: str) -> None:
    code, said = called("--bundle", "alerts", *argv)
    assert (code, hint in said) == (2, True)


def test_the_page_of_operators_is_in_step() -> None:
    """`python -m chaoskit.mutate.docs` renders it anew."""
    page = (Path(shipped.__file__).parents[2] / "docs" / "mutate.md").read_text()
    assert rendered(page) == page
    with pytest.raises(ValueError, match="does not hold"):
        rendered("# Mutants\n")


def test_a_mutant_is_the_file_with_its_change_and_the_rest_as_it_was(ground: Ground, mutants: list[Mutant]) -> None:
    mutant = next(m for m in mutants if m.operator == "alerting-dropped")
    texts = mutated(ground.files, ground.given, mutant)
    assert {key for key, text in texts.items() if text != ground.texts[key]} == {f"prometheus:{mutant.file}"}
    assert texts[f"prometheus:{mutant.file}"] == applied(ground.files["prometheus", mutant.file], mutant.edits)


def test_a_mutant_that_answers_approved_probes_otherwise_is_killed_by_levels(
    mutants: list[Mutant], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A threshold at its promised level, `sum` as `max` in a recording rule, `rate` as `irate` in one that only
    annotations read; without probes they survive."""
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    asked = ground_of(files_of(load_config(shipped.folder())), asked=True)
    sites = {("threshold-harder", "WorkerHighQueueDepth.expr"), ("aggregation", "DeadLetterQueueGrowing.expr")}
    sites |= {("aggregation", "environment:insa_database_operation_errors:ratio_rate5m.expr")}
    sites |= {("function", "environment_agent:insa_agent_request_timeouts:ratio_rate5m.expr")}
    chosen = [m for m in mutants if (m.operator, m.site) in sites]
    assert len(chosen) >= 2
    found = judge_all(replace(asked, approved=shipped.folder() / "approved"), chosen)
    assert {each.status for each in found} == {"killed"}
    assert {each.by for each in found} == {"levels", "levels-approved"}
    assert "killed" not in {each.status for each in judge_all(asked, chosen)}
