"""The two commands as a person types them: files of any team, git revisions, exit codes, no traceback."""

from __future__ import annotations

import gc
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from diff_examples import ALERTMANAGER, PROMETHEUS, PROMISE, RULES

from chaoskit import bundle
from chaoskit.cli import run
from chaoskit.errors import ExitCode


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a configuration in `old` and the same in `new`."""
    monkeypatch.chdir(tmp_path)
    for name in ("old", "new"):
        write(tmp_path / name)
    return tmp_path


def write(folder: Path, alertmanager: str = ALERTMANAGER) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "prometheus.yml").write_text(PROMETHEUS + "rule_files: [rules.yml]\n")
    (folder / "rules.yml").write_text(RULES)
    (folder / "alertmanager.yml").write_text(alertmanager)
    (folder / "notification_windows.yml").write_text(PROMISE)


def hidden() -> str:
    return ALERTMANAGER.replace("      continue: true\n", "")


def test_the_shipped_alerts_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "WorkerUnhealthy"]) is ExitCode.PASS
    assert "From fault to phone: " in capsys.readouterr().out.splitlines()[1]


def test_an_unknown_alert_ends_with_two(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "WorkerDwn", "--bundle", "old"]) is ExitCode.USAGE
    assert "did you mean 'WorkerDown'?" in capsys.readouterr().err


def test_labels_without_a_value_or_said_twice_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "WorkerDown", "x", "a=1", "a=2", "--bundle", "old"]) is ExitCode.USAGE
    said = capsys.readouterr().err
    assert "'x' is not label=value" in said
    assert "a is given twice" in said


def test_a_silence_and_a_time_are_explained_without_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "--silence", "severity=critical", "--bundle", "old"]) is ExitCode.PASS
    assert "would mute" in capsys.readouterr().out
    asked = ["explain", "WorkerDown", "--bundle", "old", "--at", "Sat 03:00", "--zone", "Europe/Berlin"]
    assert run([*asked, "--format", "json"]) is ExitCode.PASS
    assert json.loads(capsys.readouterr().out)["alerts"][0]["receivers"][0]["at"]["tells"] is True


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no alert is named"),
        (["WorkerDown", "--at", "soon"], "'soon' is not a time"),
        (["WorkerDown", "--at", "03:00", "--zone", "Berlin"], "there is no time zone 'Berlin'"),
        (["--silence", "team"], "--silence: 'team' is not a matcher"),
        (["--silence", "team!=db"], "name a label's value"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", *words, "--bundle", "old"]) is ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_explain_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "WorkerDown", "--bundle", "old", "--format", "json"]) is ExitCode.PASS
    assert json.loads(capsys.readouterr().out)["alerts"][0]["fault_to_phone_s"] == [70, 112]


def test_each_problem_of_a_scenario_that_cannot_be_read_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first alone was told, so a person mended one and met the next."""
    scenarios = tmp_path / "broken"
    scenarios.mkdir()
    (scenarios / "one.yml").write_text("name: one\nmixture: 3\nrungbook: x\n")
    run(["explain", "WorkerDown", "--bundle", "old", "--scenarios", str(scenarios)])
    said = capsys.readouterr().err
    assert said.count("left out, cannot be read: ") >= 2
    assert "'mixture'" in said
    assert "'rungbook'" in said


def test_rules_alone_and_manifests_can_be_explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.yml").write_text(manifest(RULES))
    assert run(["explain", "WorkerDown", "--rules", "m.yml"]) is ExitCode.PASS
    assert "no Alertmanager configuration was given" in capsys.readouterr().out


def test_the_collector_is_left_as_it_was_found(folder: Path) -> None:
    assert gc.isenabled()
    assert run(["diff", "old", "new"]) is ExitCode.PASS
    assert run(["diff", "old", "missing"]) is ExitCode.USAGE
    assert gc.isenabled()


def test_no_difference_is_said_and_ends_with_zero(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for format_ in ("text", "github"):
        assert run(["diff", "old", "new", "--format", format_]) is ExitCode.PASS
        assert "no difference" in capsys.readouterr().out


def test_a_broken_promise_ends_with_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "new", hidden())
    assert run(["diff", "old", "new"]) is ExitCode.FAIL
    out = capsys.readouterr().out
    assert "WorkerDown -> workers: 90–132 s becomes never (route 2 is now shadowed by route 1" in out
    assert out.splitlines()[0] == "Promises that this breaks"


def test_a_difference_as_markdown_says_first_what_breaks_and_folds_the_reasons(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["diff", "old", "new", "--format", "markdown"]) is ExitCode.PASS
    assert capsys.readouterr().out.startswith("## chaoskit diff\n\nNothing changes for people")
    write(folder / "new", hidden())
    assert run(["diff", "old", "new", "--format", "markdown"]) is ExitCode.FAIL
    shown, _, folded = capsys.readouterr().out.partition("<details>")
    assert "differ for people; 1 promise broken." in shown
    assert shown.index("**Promises that this breaks**") < shown.index("**Changes by receiver**")
    assert "- WorkerDown -&gt; workers: 90–132 s becomes never" in shown
    assert "| workers | WorkerDown |" in folded
    assert "route 2 is now shadowed by route 1" in folded


def test_a_difference_that_keeps_all_promises_ends_with_zero(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "new", ALERTMANAGER.replace("group_wait: 10s", "group_wait: 20s"))
    assert run(["diff", "old", "new"]) is ExitCode.PASS
    assert "group_wait 10s becomes group_wait 20s" in capsys.readouterr().out


def test_alerts_that_go_nowhere_end_with_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped configuration without its `alerting:`."""
    shutil.copytree(bundle.folder(), folder / "silent")
    file = folder / "silent" / "prometheus_config.yml"
    text = re.sub(r"(?m)^alerting:\n(?:[ \t]+.*\n|#.*\n|\n)*", "", file.read_text())
    assert text != file.read_text()
    file.write_text(text)
    assert run(["diff", str(bundle.folder()), "silent"]) is ExitCode.FAIL
    out = capsys.readouterr().out
    assert "every alert: no longer sent (Prometheus sends to no Alertmanager)" in out
    assert "all alerts differ for people" in out


def test_what_cannot_be_told_ends_with_three(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = "{job_name: crm}"
    file = folder / "new" / "prometheus.yml"
    assert job in file.read_text()
    file.write_text(file.read_text().replace(job, "{job_name: crm, sample_limit: 9}"))
    assert run(["diff", "old", "new"]) is ExitCode.UNKNOWN
    out = " ".join(capsys.readouterr().out.split())
    assert "cannot tell: which alerts see other series: scrape job crm sample_limit: nothing becomes 9" in out
    assert "no difference" not in out
    write(folder / "new", hidden())  # a broken promise goes first
    file.write_text(file.read_text().replace(job, "{job_name: crm, sample_limit: 9}"))
    assert run(["diff", "old", "new"]) is ExitCode.FAIL


def test_a_group_s_limit_is_found_in_rule_files_and_manifests(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limited = RULES.replace("  - name: g\n", "  - name: g\n    limit: 3\n")
    for before, after in ((RULES, limited), (manifest(RULES), manifest(limited))):
        Path("a.yml").write_text(before)
        Path("b.yml").write_text(after)
        assert run(["diff", "a.yml", "b.yml"]) is ExitCode.PASS
        assert "(limit): none becomes 3" in capsys.readouterr().out


def manifest(rules: str) -> str:
    spec = rules.replace("\n", "\n  ").rstrip()
    return f"kind: PrometheusRule\nspec:\n  {spec}\n"


def test_single_files_are_compared_with_the_rest_given_for_both(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "new", hidden())
    files = ["old/alertmanager.yml", "new/alertmanager.yml"]
    assert run(["diff", *files, "--rules", "old/rules.yml"]) is ExitCode.PASS
    assert "becomes never" in capsys.readouterr().out
    assert run(["diff", *files, "--rules", "old/rules.yml", "--promise", "old/notification_windows.yml"]) == 1
    capsys.readouterr()
    assert run(["diff", *files]) is ExitCode.USAGE
    assert "no alerting rule was found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["old"], "1 paths were given"),
        (["old", "missing"], "missing"),
        (["old", "odd.yml"], "its keys fit no single kind of file"),
        (["old", "broken"], "broken/rules.yml"),
        (["--base", "HEAD", "old"], "is in no git repository"),
        (["--base", "--output=x", "old"], "is not a revision"),
    ],
)
def test_what_cannot_be_read_ends_with_two(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    Path("odd.yml").write_text("a: 1\n")
    write(folder / "broken")
    Path("broken/rules.yml").write_text("groups: [{name: g, rules: [{alert: A, expr: 'x >'}]}]\n")
    assert run(["diff", *arguments]) is ExitCode.USAGE
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def git(*arguments: str) -> None:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *arguments], check=True, capture_output=True)


def test_a_revision_is_compared_without_touching_the_working_tree(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git("init")
    git("add", "new")
    git("commit", "-m", "one")
    write(folder / "new", hidden())
    before = subprocess.run(["git", "status", "--porcelain"], capture_output=True, check=True).stdout
    assert run(["diff", "--base", "main", "new"]) is ExitCode.FAIL
    out = capsys.readouterr().out
    assert "becomes never" in out
    assert "main:new/alertmanager.yml:9" in out
    assert "chaoskit-revision" not in out
    file = ["--base", "main", "new/alertmanager.yml", "--rules", "new/rules.yml"]
    assert run(["diff", *file]) is ExitCode.PASS
    assert "becomes never" in capsys.readouterr().out
    assert subprocess.run(["git", "status", "--porcelain"], capture_output=True, check=True).stdout == before


def test_a_revision_that_is_unknown_or_lacks_the_folder_ends_with_two(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git("init")
    git("add", "new")
    git("commit", "-m", "one")
    assert run(["diff", "--base", "nope", "new"]) is ExitCode.USAGE
    assert "git knows no revision 'nope' here" in capsys.readouterr().err
    assert run(["diff", "--base", "main", "old"]) is ExitCode.USAGE
    assert "is not there at revision 'main'" in capsys.readouterr().err
