"""Probes of alert rules: promised levels are proved by promtool, approved answers compared; both are broken here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit import bundle
from chaoskit.alerting.config import load_config
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.cli import run
from chaoskit.probes.ask import Asking
from chaoskit.probes.derive import compact, samples, sides, subject_of
from chaoskit.probes.levels import CHANGED, UNPROVED, WRONG, Levels, Said
from chaoskit.probes.model import Answered, Instance, Probe
from chaoskit.probes.text import read_levels, same, text_of
from chaoskit.rehearse.derive import recording_rules
from chaoskit.stack.binaries import Binaries, Tool

RULES = """\
groups:
  - name: shop
    interval: 15s
    rules:
      - record: shop:errors:ratio
        expr: sum by (zone) (rate(http_total{code="500"}[5m])) / (sum by (zone) (rate(http_total[5m])) > 0)
      - {alert: QueueLong, expr: queue > 100, for: 1m, labels: {severity: warning}}
      - {alert: ShopErrors, expr: 'shop:errors:ratio > 0.05', for: 2m}
      - alert: Restarts
        expr: max_over_time(restarts_total[10m]) - min_over_time(restarts_total[10m]) >= 3
"""
PROMISE = """\
chaoskit: 1
alerts:
  QueueLong: {levels: {quiet: 100, fires: 101}}
  ShopErrors: {levels: {quiet: 0.0495, fires: 0.0505}}
  Restarts: {levels: {quiet: 2, fires: 3}}
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder for all tests: what promtool answered about the same rules is remembered there."""
    return tmp_path_factory.mktemp("shared") / "state"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own folder to work in."""
    monkeypatch.setenv("CHAOSKIT_STATE", str(shared))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tool(binaries: Binaries) -> Tool:
    return Tool("promtool", binaries.promtool, binaries.versions["promtool"])


def asked(tool: Tool, *changes: tuple[str, str], promise: str = PROMISE, approved: Path | None = None) -> Said:
    """What `check` says of the levels after these changes of the rules."""
    rules = RULES
    for old, new in changes:
        assert old in rules
        rules = rules.replace(old, new)
    Path("rules.yml").write_text(rules)
    Path("promise.yml").write_text(promise)
    return Levels(load_config(None, ["rules.yml"], promise=Path("promise.yml")), tool, approved).check()


def lines(said: Said, lint: str) -> list[str]:
    return [f"{each.place}: {each.message}" for each in said.findings[lint]]


def test_promised_levels_are_proved_on_both_sides(tool: Tool) -> None:
    """A gauge, a ratio through a recording rule, and a count of steps."""
    said = asked(tool)
    assert not any(said.findings.values())
    assert said.proved == {
        "QueueLong": "promtool: quiet at 100, fires at 101",
        "ShopErrors": "promtool: quiet at 0.0495, fires at 0.0505",
        "Restarts": "promtool: quiet at 2, fires at 3",
    }


def test_a_threshold_that_is_not_the_promised_one_is_an_error_at_the_rule_and_names_the_promise(tool: Tool) -> None:
    said = asked(tool, ("queue > 100", "queue >= 100"), (">= 3", ">= 4"), ("0.05'", "0.04'"))
    assert lines(said, WRONG) == [
        "rules.yml:7: QueueLong is promised to stay quiet at 100 (promise.yml:3), and fires",
        "rules.yml:8: ShopErrors is promised to stay quiet at 0.0495 (promise.yml:4), and fires",
        "rules.yml:9: Restarts is promised to fire at 3 (promise.yml:5), and stays quiet",
    ]
    assert said.proved == {}


def test_a_level_that_no_series_lead_to_is_said_and_not_proved(tool: Tool) -> None:
    """An expression without a number, and one that reads the clock."""
    said = asked(tool, ("queue > 100", "queue > queue_limit"), (">= 3", "> time()"))
    assert lines(said, WRONG) == []
    first, second = lines(said, UNPROVED)
    assert (
        "QueueLong are promised (promise.yml:3) and not proved: the expression compares nothing with a number" in first
    )
    assert "Restarts are promised (promise.yml:5) and not proved: the expression reads the clock" in second
    assert list(said.proved) == ["ShopErrors"]


def test_a_level_that_is_not_promised_is_covered_by_nothing(tool: Tool) -> None:
    """Levels merely read from the expression prove the reading."""
    said = asked(tool, promise="chaoskit: 1\nalerts:\n  QueueLong: {levels: {quiet: 100, fires: 101}}\n")
    config = load_config(None, ["rules.yml"], promise=Path("promise.yml"))
    outcome = check(LintContext(config, elsewhere=said.findings, proved=said.proved))
    (thresholds,) = [each for each in outcome.coverage if each.kind == "thresholds"]
    assert (thresholds.all, thresholds.missing) == (3, ("ShopErrors", "Restarts"))
    told = [each.message for each in outcome.findings if each.id == "threshold-not-promised"]
    assert told == ["the threshold of ShopErrors is not promised", "the threshold of Restarts is not promised"]
    blind = check(LintContext(config))
    assert "thresholds" not in [each.kind for each in blind.coverage]
    assert any("levels" in each.lints for each in blind.skipped)


def approved(tool: Tool, *changes: tuple[str, str], promise: str = PROMISE) -> Path:
    """The answers of the rules after these changes, approved."""
    asked(tool, *changes, promise=promise)
    levels = Levels(load_config(None, ["rules.yml"], promise=Path("promise.yml")), tool)
    subjects = levels.subjects()
    for (name, _), (answered, lacking) in zip(subjects, levels.derived([s for _, s in subjects]), strict=True):
        assert lacking == ()
        Path("approved", name).parent.mkdir(parents=True)
        Path("approved", name).write_text(text_of(answered))
    return Path("approved")


HARMFUL = {
    "comparator": (("queue > 100", "queue >= 100"),),
    "range": (('code="500"}[5m]', 'code="500"}[10m]'),),
    "aggregation": (("sum by (zone) (rate(http_total{", "max by (zone) (rate(http_total{"),),
    "group": (("by (zone)", "by ()"),),
    "guard": (("> 0.05'", "> 0.05 or vector(1) > 0'"),),
    "for": (("for: 1m", "for: 2m"),),
    "label": (("severity: warning", "severity: critical"),),
    "function": (("- min_over_time(restarts_total[10m])", "- 0 * min_over_time(restarts_total[10m])"),),
}  # fmt: skip


def test_approved_answers_are_compared_and_harmful_changes_noticed(tool: Tool) -> None:
    """With series that were approved and do not follow the rule."""
    folder = approved(tool)
    assert not any(asked(tool, approved=folder).findings.values())
    missed = [
        name
        for name, changes in HARMFUL.items()
        if not lines(found := asked(tool, *changes, approved=folder), CHANGED) + lines(found, WRONG)
    ]
    assert missed == []
    assert not any(asked(tool, ("- name: shop\n", "# a comment\n  - name: shop\n"), approved=folder).findings.values())


def test_a_record_that_only_an_annotation_reads_is_approved_as_well_as_the_firing(tool: Tool) -> None:
    """Each probe says what the record comes to; by its own labels two series are told apart. A query that cannot be
    parsed shows nothing."""
    record = 'record: zone_shop:errors:ratio\n        expr: sum by (zone, shop) (rate(http_total{code="500"}[5m]))\n'
    query = "{{ range query `zone_shop:errors:ratio > 0` }}{{ .Labels.shop }}{{ end }}{{ query `1 +` }}"
    alert = "alert: ShopErrors, expr: 'shop:errors:ratio > 0.05'"
    with_it = (
        (f"- {{{alert}", f"- {record}      - {{{alert}"),
        ("for: 2m}", f"for: 2m, annotations: {{each: '{query}'}}}}"),
    )
    asked(tool, *with_it)
    folder = approved(tool, *with_it)
    text = (folder / "ShopErrors" / "levels.txt").read_text()
    assert re.search(r'^  = shows [0-9.]+ then [0-9.]+ zone_shop:errors:ratio\{shop="one",zone="one"\}$', text, re.M)
    assert "one of two by shop" in text
    assert not any(asked(tool, *with_it, approved=folder).findings.values())
    other = ("by (zone, shop) (rate(", "by (zone, shop) (irate(")
    for change in (("by (zone, shop)", "by (zone)"), other, ("record: zone_shop:", "record: shop_zone:")):
        said = asked(tool, *with_it, change, approved=folder)
        assert (lines(said, WRONG), len(lines(said, CHANGED))) == ([], 1), change
        assert "zone_shop:errors:ratio" in lines(said, CHANGED)[0]


def test_what_a_rule_says_to_sum_away_comes_twice(tool: Tool) -> None:
    """Series lack that label otherwise, so that a rule which keeps it, or takes the larger, answers alike."""
    count = "max_over_time(restarts_total[10m]) - min_over_time(restarts_total[10m])"
    summed = (count, f"sum without (why) ({count})")
    folder = approved(tool, summed)
    text = (folder / "Restarts" / "levels.txt").read_text()
    assert 'why="one-two"' in text
    assert not any(asked(tool, summed, approved=folder).findings.values())
    for change in (("without (why)", "without (job)"), ("sum without", "max without")):
        said = asked(tool, summed, change, approved=folder)
        assert (lines(said, WRONG), len(lines(said, CHANGED))) == ([], 1), change


def test_a_quantile_over_instances_is_asked_beside_one_with_little_traffic(tool: Tool) -> None:
    """Two with the same traffic have the same quantile by the larger bucket as by the sum of both."""
    quantile = "histogram_quantile(0.95, sum by (zone, le) (rate(lag_bucket[5m])))"
    slow = ("queue > 100", f"'{quantile} > 1'")
    promise = PROMISE.replace("{quiet: 100, fires: 101}", "{quiet: 0.99, fires: 1.01}")
    folder = approved(tool, slow, promise=promise)
    text = (folder / "QueueLong" / "levels.txt").read_text()
    assert "probe: at 1.01, beside one with a tenth of the traffic" in text
    said = asked(tool, slow, ("sum by (zone, le)", "max by (zone, le)"), promise=promise, approved=folder)
    assert (lines(said, WRONG), len(lines(said, CHANGED))) == ([], 1)
    assert "1 of " in lines(said, CHANGED)[0]
    assert "beside one with a tenth of the traffic" not in (folder / "ShopErrors" / "levels.txt").read_text()


def test_a_count_is_asked_for_a_burst_of_many_behind_its_end(tool: Tool) -> None:
    """Of few, what is extrapolated or only half remembered comes to the same whole number."""
    count = "max_over_time(restarts_total[10m]) - min_over_time(restarts_total[10m])"
    exact = f"({count} unless resets(restarts_total[10m]) > 0 or floor(increase(restarts_total[10m])))"
    exactly = (f"expr: {count}", f"expr: {exact}")
    folder = approved(tool, exactly)
    assert not any(asked(tool, exactly, approved=folder).findings.values())
    for old, new in (
        ("resets(restarts_total[10m]) > 0", "resets(restarts_total[10m])"),
        ("resets(", "changes("),
        ("max_over_time(restarts_total[10m])", "max_over_time(restarts_total[5m])"),
        ("min_over_time(restarts_total", "min_over_time(restarts_totalx"),
    ):
        said = asked(tool, exactly, (old, new), approved=folder)
        assert (lines(said, WRONG), len(lines(said, CHANGED))) == ([], 1), new
        assert "1 of " in lines(said, CHANGED)[0]
        assert "at 100, in one burst, then stale" in lines(said, CHANGED)[0]


def test_a_difference_shows_both_answers_and_where_they_are_approved(tool: Tool) -> None:
    folder = approved(tool)
    (said,) = lines(asked(tool, ("for: 1m", "for: 2m"), approved=folder), CHANGED)
    assert "QueueLong answers" in said
    assert "otherwise than approved in approved/QueueLong/levels.txt" in said
    assert "\n    - pending 1m to 1m45s, firing 2m to 3m45s, value 101 {" in said
    assert "\n    + pending 1m to 2m45s, firing 3m to 3m45s, value 101 {" in said


def test_an_approved_file_that_cannot_be_read_is_an_error_at_its_line_and_the_others_go_on(tool: Tool) -> None:
    folder = approved(tool)
    file = folder / "QueueLong/levels.txt"
    file.write_text(file.read_text().replace("= quiet", "= silent", 1))
    said = asked(tool, approved=folder)
    (line,) = lines(said, CHANGED)
    assert line.startswith("approved/QueueLong/levels.txt:7: no line of a probe: '= silent'")
    assert set(said.proved) == {"QueueLong", "ShopErrors", "Restarts"}  # it is derived, and the others are compared


def test_what_promtool_refuses_is_unproved(tool: Tool) -> None:
    """A blind observer: nothing is proved, and the reason is said."""
    said = asked(Tool("promtool", Path("/bin/false"), "0.0"))
    assert said.proved == {}
    assert len(lines(said, UNPROVED)) == 3


SILENT: dict[str, Any] = {
    "ask": lambda self, sheets: ["it did not end" if one.probes else [] for one in sheets],
    "answers": lambda self, subjects: ["it did not end"] * len(subjects),
}


@pytest.mark.parametrize("asked_for", SILENT)
def test_that_promtool_did_not_answer_is_said_and_not_remembered(
    asked_for: str, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what series come to, nor what the rule answers."""
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    with monkeypatch.context() as busy:
        busy.setattr(Asking, asked_for, SILENT[asked_for])
        told = lines(asked(tool), UNPROVED)
        assert [line.endswith("promtool refuses its probes: it did not end") for line in told] == [True] * 3
    assert len(asked(tool).proved) == 3


def test_answers_are_remembered_until_rule_levels_or_version_change(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("CHAOSKIT_STATE", str(state))
    before = asked(tool)
    asked_of = []
    real = subprocess.run

    def counted(argv: Sequence[object], *args: object, **more: object) -> object:
        asked_of.append([str(word) for word in argv])
        return real(argv, *args, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", counted)
    assert asked(tool) == before
    assert asked_of == []
    asked(tool, ("queue > 100", "queue > 99"))
    assert sum("QueueLong" in word for argv in asked_of for word in argv) >= 1
    assert sum("Restarts" in word for argv in asked_of for word in argv) == 0
    for file in (state / "remembered/levels").iterdir():
        assert file.stat().st_mode & 0o077 == 0
        file.chmod(0o666)
    asked_of.clear()
    assert asked(tool) == before
    assert asked_of, "a file that others may write to was believed"


def test_approve_writes_once_shows_a_difference_and_updates_on_request(
    tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(tool)
    command = ["approve", "--rules", "rules.yml", "--promise", "promise.yml"]
    assert run(command) == 0
    before = Path("approved/QueueLong/levels.txt").read_text()
    assert "probe: fires at the promised 101" in before
    capsys.readouterr()
    assert run(command) == 0
    assert capsys.readouterr().out == ""
    Path("rules.yml").write_text(RULES.replace("for: 1m", "for: 2m"))
    assert run(command) == 1
    said = capsys.readouterr().out
    assert "-  = pending 1m to 1m45s, firing 2m to 3m45s" in said
    assert Path("approved/QueueLong/levels.txt").read_text() == before
    assert run([*command, "--update", "--alert", "QueueLong"]) == 0
    assert Path("approved/QueueLong/levels.txt").read_text() != before
    assert run([*command, "--alert", "QueueLnog"]) == 2
    assert "did you mean 'QueueLong'" in capsys.readouterr().err


def test_probes_are_written_as_unit_tests_that_promtool_passes(tool: Tool, binaries: Binaries) -> None:
    asked(tool)
    command = ["promise", "tests", "--rules", "rules.yml", "--promise", "promise.yml", "--out", "kept"]
    assert run(command) == 0
    files = sorted(map(str, Path("kept").glob("*.test.yml")))
    assert len(files) == 3
    done = subprocess.run([binaries.promtool, "test", "rules", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = Path("kept/QueueLong.rules.yml")
    rules.write_text(rules.read_text().replace("> 100", "> 101"))
    (file,) = (each for each in files if "QueueLong" in each)
    done = subprocess.run([binaries.promtool, "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert run(command) == 2  # the folder is not empty


# -- the pure parts


@pytest.mark.parametrize(
    ("expr", "levels"),
    [
        ("queue > 100", (99, 100, 101)),
        ("100 < queue", (99, 100, 101)),
        ("up == 0", (0, 1)),
        ("count by (zone) (up == 0) >= 2", (1, 2, 3)),
        ("memory_ratio > 0.9", (0.891, 0.9, 0.909)),
        ("rate(errors_total[5m]) / rate(all_total[5m]) > 0.5", (0.495, 0.505)),
        ("histogram_quantile(0.9, rate(wait_bucket[5m])) > 10", (9.9, 10.1)),
    ],
)
def test_a_level_is_at_the_edge_for_gauges_and_counts_and_one_percent_off_for_ratios_and_quantiles(
    expr: str, levels: tuple[float, ...]
) -> None:
    Path("rules.yml").write_text(f"groups: [{{name: g, rules: [{{alert: A, expr: '{expr}'}}]}}]\n")
    config = load_config(None, ["rules.yml"])
    (side,) = sides(subject_of(config.rules[0], config.rules, recording_rules(config.rules)))
    assert side.levels(side.whole) == pytest.approx(levels)


@given(
    st.lists(
        st.one_of(st.none(), st.integers(-50, 50).map(float), st.sampled_from([0.5, 1e6])), min_size=1, max_size=30
    )
)
def test_samples_survive_their_notation(values: list[float | None]) -> None:
    assert samples(compact(values)) == pytest.approx(values)


_SPANS = st.none() | st.tuples(st.integers(0, 900), st.integers(900, 2000)).map(lambda s: (s[0] * 15.0, s[1] * 15.0))
_LABELS = st.dictionaries(st.sampled_from(["a", "b", "zone"]), st.text('ab"\\ {}=,', max_size=5), max_size=3)


@given(
    st.lists(
        st.builds(Instance, _LABELS.map(lambda d: tuple(sorted(d.items()))), _SPANS, _SPANS, st.just(0.5)), max_size=3
    )
)
def test_an_answer_survives_its_text(answer: list[Instance]) -> None:
    """Whatever the labels hold; a difference of one evaluation counts but between generations of promtool."""
    answer = [each for each in answer if each.pending_s or each.firing_s]
    probe = Probe("p", (('x{a="\\"}"}', "1x5"),), 15.0, 60.0, 120.0, 180.0, 90.0)
    kept = read_levels(text_of(Answered("A", "3.5", (probe,), {"p": tuple(answer)})), "approved/A/levels.txt")
    assert kept == Answered("A", "3", (probe,), {"p": tuple(answer)})
    later = tuple(
        Instance(
            e.labels,
            e.pending_s and (e.pending_s[0] + 15, e.pending_s[1]),
            e.firing_s and (e.firing_s[0], e.firing_s[1] - 15),
            9,
        )
        for e in answer
    )
    assert same(tuple(answer), later, 15.0)
    assert not answer or not same(tuple(answer), later, 0.0)


def test_the_shipped_answers_are_those_of_every_alert() -> None:
    names = {rule.alert for rule in load_config(bundle.folder()).rules if rule.alert}
    assert {path.parent.name for path in (bundle.folder() / "approved").glob("*/levels.txt")} == names
