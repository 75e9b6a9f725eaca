"""A rule, a group or a file that cannot be read is left out, with its place and reason; the others are read."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles, load_config, load_texts
from chaoskit.alerting.rules import rule_document
from chaoskit.cli import run
from chaoskit.errors import BadInput, ExitCode
from chaoskit.localize.configuration import Ports, localize
from chaoskit.localize.sink_addresses import SinkAddresses
from chaoskit.rehearse.perform import with_rules
from chaoskit.rehearse.unit_tests import groups_in
from chaoskit.run.planning import Asked, plan_for
from chaoskit.stack.original import ask, understood

GOOD = "{alert: LiftStuck, expr: lift_moving == 0, for: 2m, labels: {severity: warning}}"
ROUTES = "route: {receiver: desk}\nreceivers: [{name: desk, webhook_configs: [{url: 'http://hook.example/'}]}]\n"
RULES = {
    "expression": ("{alert: Wrong, expr: 'lift_load > ('}", "Wrong"),
    "hold": ("{alert: Wrong, expr: lift_load > 1, for: 5 minutes}", "Wrong"),
    "label": ("{alert: Wrong, expr: lift_load > 1, labels: {1st: a}}", "Wrong"),
    "both": ("{alert: Wrong, record: wrong, expr: lift_load > 1}", "Wrong"),
    "neither": ("{expr: lift_load > 1}", ""),
    "no expression": ("{alert: Wrong}", "Wrong"),
    "record": ("{record: lift load, expr: lift_load}", "lift load"),
    "no mapping": ("[Wrong]", ""),
    "key": ("{alert: Wrong, expr: lift_load > 1, fro: 5m}", "Wrong"),
}
FILES = {
    "yaml": "groups: [{name: a, rules: [}]\n",
    "twice": "groups:\n- name: a\n  rules:\n  - {alert: A, expr: up, expr: up == 0}\n",
    "other": "route: {receiver: a}\n",
    "list": "- a\n",
    "empty group": "groups:\n- rules: []\n",
    "latin": b"groups:\n- name: d\xfcster\n",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "am.yml").write_text(ROUTES)
    (tmp_path / "good.yml").write_text(f"groups:\n- name: lifts\n  rules:\n  - {GOOD}\n")
    return tmp_path


def command(name: str, *rules: str) -> list[str]:
    return [name, *(word for each in rules for word in ("--rules", each)), "--alertmanager", "am.yml"]


def mixed(here: Path, rule: str) -> str:
    """A file with this rule on line 5, between two good ones."""
    text = f"groups:\n- name: lifts\n  rules:\n  - {GOOD}\n  - {rule}\n  - {GOOD.replace('Stuck', 'Open')}\n"
    (here / "mixed.yml").write_text(text)
    return text


@pytest.mark.parametrize("kind", RULES)
def test_a_rule_that_is_wrong_is_left_out_of_its_group_alone(here: Path, kind: str) -> None:
    """In what is read and in what is played."""
    rule, name = RULES[kind]
    text = mixed(here, rule)
    config = understood(load_config(rules=["mixed.yml"], alertmanager=here / "am.yml"))
    assert [rule.alert for rule in config.rules] == ["LiftStuck", "LiftOpen"]
    assert {each.problem.place.line for each in config.not_understood if each.problem.place} == {5}
    assert all(each.broken and each.of == ((name,) if name else ()) for each in config.not_understood)
    document, left_out = rule_document(text, "mixed.yml", config.set_aside)
    assert [each["alert"] for each in document["groups"][0]["rules"]] == ["LiftStuck", "LiftOpen"]
    assert {each for each, _ in left_out} == {name or "mixed.yml"}
    played = with_rules(config, None)["rules:000-mixed.yml"]
    assert "LiftOpen" in played
    assert "Wrong" not in played


@pytest.mark.parametrize("kind", ["hold", "no mapping"])
def test_check_explain_and_diff_go_on_with_the_others_and_end_with_two(
    here: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = mixed(here, RULES[kind][0])
    assert run([*command("check", "mixed.yml"), "--format", "json"]) is ExitCode.USAGE
    found = json.loads(capsys.readouterr().out)["findings"]
    assert ("error", 5) in {(each["severity"], each["line"]) for each in found}
    assert "no-runbook" in {each["id"] for each in found}
    assert run(["explain", "LiftOpen", *command("explain", "mixed.yml")[1:]]) is ExitCode.USAGE
    said = capsys.readouterr()
    assert "From fault to phone" in said.out
    assert "left out: mixed.yml:5: " in said.err
    (here / "later.yml").write_text(text.replace("for: 2m", "for: 4m"))
    assert run(["diff", "mixed.yml", "later.yml", "--alertmanager", "am.yml"]) is ExitCode.USAGE
    said = capsys.readouterr()
    assert "LiftOpen" in said.out
    assert "later.yml:5" in said.out
    assert "an alert that is gone" not in said.out


def test_a_rule_that_only_promtool_takes_for_wrong_is_left_out_alone(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "{alert: Wrong, expr: lift_load > 1, annotations: {summary: '{{ $labels.lift'}}"
    (here / "mixed.yml").write_text(f"groups:\n- name: lifts\n  rules:\n  - {GOOD}\n  - {wrong}\n")
    config = load_config(rules=["mixed.yml"])
    settled = ask(config).settle(config)
    assert [rule.alert for rule in settled.rules] == ["LiftStuck"]
    (left_out,) = settled.not_understood
    assert left_out.broken
    assert str(left_out.problem.place) == "mixed.yml:5"
    assert "refuses the rule: " in left_out.problem.message
    assert run(command("check", "mixed.yml")) is ExitCode.USAGE
    said = capsys.readouterr().out
    assert "[promtool]" in said
    assert "[no-runbook]" in said


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_cannot_be_read_is_left_out_of_its_folder(
    here: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = FILES[kind]
    (here / "bad.yml").write_bytes(text if isinstance(text, bytes) else str(text).encode())
    config = understood(load_config(rules=["*d.yml"], alertmanager=here / "am.yml"))
    assert [rule.alert for rule in config.rules] == ["LiftStuck"]
    assert config.not_understood
    assert all(str(each).startswith("left out: bad.yml:") for each in config.not_understood)
    if kind == "latin":
        assert run(command("check", "*d.yml")) is ExitCode.USAGE
        said = capsys.readouterr().out
        assert "bad.yml:" in said
        assert "[no-runbook]" in said


def test_the_second_of_two_groups_of_one_name_is_left_out(here: Path) -> None:
    text = (
        f"groups:\n- name: lifts\n  rules:\n  - {GOOD}\n- name: lifts\n  rules:\n  - {GOOD.replace('Stuck', 'Open')}\n"
    )
    (here / "two.yml").write_text(text)
    config = understood(load_config(rules=["two.yml"]))
    assert [rule.alert for rule in config.rules] == ["LiftStuck"]
    assert [each.of for each in config.not_understood] == [("LiftOpen",)]
    assert [each["name"] for each in rule_document(text, "two.yml", {})[0]["groups"]] == ["lifts"]


def test_where_nothing_can_be_read_the_problems_end_a_rehearsal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.yml").write_text(FILES["yaml"])
    assert run(["rehearse", "bad.yml", "--alertmanager", "am.yml", "--out", "runs"]) is ExitCode.USAGE
    assert "bad.yml:1: is not valid YAML" in capsys.readouterr().err


def test_a_file_without_rules_is_none_that_cannot_be_read(here: Path) -> None:
    for number, text in enumerate(("", "# later\n", "---\n# later\n", "groups:\n", "groups: []\n")):
        (here / f"{number}.yml").write_text(text)
    config = load_config(rules=["[0-9].yml", "good.yml"])
    assert config.not_understood == ()


def test_a_plan_goes_on_without_a_rule_that_is_wrong_and_is_not_sure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Prometheus with such a file would not start: a run cannot end well."""
    shutil.copytree(bundle.folder(), tmp_path / "bundle")
    file = tmp_path / "bundle" / "prometheus_alerts.yml"
    file.write_text(f"{file.read_text()}\n  - name: mine\n    rules:\n      - {RULES['hold'][0]}\n")
    plan = plan_for(Asked("worker-unhealthy", "local", ConfigFiles(tmp_path / "bundle")))[0]
    assert [each.of for each in plan.puzzles] == [("Wrong",)]
    assert run(["plan", "worker-unhealthy", "--bundle", str(tmp_path / "bundle")]) is ExitCode.UNKNOWN
    assert "left out: " in capsys.readouterr().out
    file.write_text("groups: [")
    with pytest.raises(BadInput):
        plan_for(Asked("worker-unhealthy", "local", ConfigFiles(tmp_path / "bundle")))


def with_second_file(here: Path, content: bytes | None) -> tuple[Path, Path]:
    """A copy of the shipped configuration that names a second rule file, which holds this; None makes it a FIFO."""
    shutil.copytree(bundle.folder(), here / "bundle")
    prometheus, second = here / "bundle" / "prometheus_config.yml", here / "bundle" / "second.yml"
    prometheus.write_text(prometheus.read_text().replace("rule_files:", "rule_files:\n  - second.yml", 1))
    assert "second.yml" in prometheus.read_text()
    if content is None:
        os.mkfifo(second)
    else:
        second.write_bytes(content)
    return here / "bundle", second


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"groups: []\n# d\xfcster\n", "second.yml:2: is not UTF-8"), (None, "second.yml: cannot be read: it is a FIFO")],
)
def test_a_rule_file_of_a_folder_that_is_no_text_or_no_file_is_left_out(
    tmp_path: Path, content: bytes | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """For every command that reads a folder; and a history reads the same again from its texts."""
    folder, _ = with_second_file(tmp_path, content)
    config = load_config(folder, complete=True)
    (left_out,) = config.not_understood
    assert (left_out.broken, left_out.of) == (True, ())
    assert said in str(left_out)
    again = load_texts(config.sources)
    assert [each.problem.message for each in again.not_understood] == [left_out.problem.message]
    assert [rule.alert for rule in again.rules] == [
        rule.alert for rule in load_config(bundle.folder(), complete=True).rules
    ]
    for command, code in (
        (["plan", "worker-unhealthy"], ExitCode.UNKNOWN),
        (["gate", "worker-unhealthy", "--dry-run"], ExitCode.PASS),
        (["explain", "WorkerUnhealthy"], ExitCode.USAGE),
        (["check", "--no-levels"], ExitCode.USAGE),
    ):
        assert run([*command, "--bundle", str(folder)]) is code, command
        shown = capsys.readouterr()
        assert command[0] == "gate" or said.partition(": ")[2] in " ".join((shown.out + shown.err).split())
    plan = plan_for(Asked("worker-unhealthy", "local", ConfigFiles(folder)))[0]
    assert [each.problem.message for each in plan.puzzles] == [left_out.problem.message]


def test_where_no_rule_file_of_a_folder_can_be_read_the_reasons_are_told(tmp_path: Path) -> None:
    folder, _ = with_second_file(tmp_path, b"\xff")
    (folder / "prometheus_alerts.yml").write_bytes(b"\xff")
    with pytest.raises(BadInput) as found:
        load_config(folder, complete=True)
    places = {str(each.place).rpartition("/")[2] for each in found.value.problems if "is not UTF-8" in each.message}
    assert places == {"prometheus_alerts.yml:1", "second.yml:1"}


def test_a_stack_says_which_rule_file_it_goes_without(tmp_path: Path) -> None:
    config = load_config(with_second_file(tmp_path, b"\xff")[0], complete=True)
    localized = localize(config.sources, tmp_path, Ports(*range(2000, 2000 + len(Ports.__dataclass_fields__))), 60.0,
                         SinkAddresses(2100), {})  # fmt: skip
    assert "second.yml is left out: is not UTF-8: byte 0xff" in localized.notes
    assert "rules/second.yml" not in localized.files


def test_check_tells_of_a_scenario_and_a_profile_that_cannot_be_read_and_checks_the_others(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "scenarios").mkdir()
    (here / "scenarios" / "tab.yml").write_text("chaoskit: 1\n\ttitle: a\n")
    os.mkfifo(here / "scenarios" / "pipe.yml")
    (here / "profiles").mkdir()
    (here / "profiles" / "mine.yml").write_bytes(b"chaoskit: 1\n# \xff\n")
    assert run([*command("check", "good.yml"), "--format", "json"]) is ExitCode.USAGE
    found = json.loads(capsys.readouterr().out)["findings"]
    told = {(Path(each["file"]).name, each["line"]): each["message"] for each in found if "left out" in each["message"]}
    assert told.keys() == {("tab.yml", 2), ("pipe.yml", 0), ("mine.yml", 2)}
    assert "it is a FIFO" in told["pipe.yml", 0]
    assert "no-runbook" in {each["id"] for each in found}
    assert run(["list"]) is ExitCode.USAGE
    said = capsys.readouterr()
    assert "tab.yml:2: " in said.err
    assert "worker-unhealthy" in said.out


@pytest.mark.parametrize("kind", ["latin", "folder", "FIFO", "missing"])
def test_a_file_of_tests_that_cannot_be_opened_is_a_group_that_says_so(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "tests.yml"
    if kind == "latin":
        file.write_bytes(b"tests: []\n# \xff\n")
    elif kind == "folder":
        file.mkdir()
    elif kind == "FIFO":
        os.mkfifo(file)
    (group,) = groups_in(file)
    assert group.wrong
    assert (group.place.file, group.title) == (str(file), "tests.yml")


def test_a_template_that_is_not_utf_8_is_taken_as_alertmanager_takes_it(tmp_path: Path) -> None:
    """Its odd bytes reach people as U+FFFD; one that is no file is left out, and said."""
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.folder(), folder)
    template = next(folder.rglob("*.tmpl"))
    template.write_bytes(template.read_bytes() + b'{{ define "mine" }}d\xfcster{{ end }}\n')
    for config in (load_config(folder, complete=True), load_config(folder)):
        (text,) = [text for key, text in config.sources.items() if key.endswith(template.name)]
        assert text.endswith('{{ define "mine" }}d\ufffdster{{ end }}\n')
    template.unlink()
    os.mkfifo(template)
    for complete in (True, False):
        config = load_config(folder, complete=complete)
        assert f"{template.name}: cannot be read: it is a FIFO" in config.lost_templates
        assert load_texts(config.sources).lost_templates
        assert config.rules


def test_doctor_tells_of_a_profile_that_cannot_be_read_beside_what_it_found(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine.yml").write_text("chaoskit: 1\n\ttarget: local\n")
    assert run(["doctor", "--profile", "mine.yml", "--format", "json"]) is ExitCode.USAGE
    lines = {each["what"]: each for each in json.loads(capsys.readouterr().out)}
    assert lines["file"]["state"] == "missing"
    assert lines["file"]["detail"].startswith("mine.yml:2: is not valid YAML")
    assert lines["promtool"]["state"] == "ok"
