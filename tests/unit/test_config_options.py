"""Every command about an alert configuration takes the same options, reads it alike and says alike what is wrong."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.cli import run
from chaoskit.cli.all import chaoskit
from chaoskit.errors import ExitCode
from chaoskit.localize.configuration import Ports, localize
from chaoskit.localize.sink_addresses import SinkAddresses
from chaoskit.run.planning import Asked, plan_for

OPTIONS = {"--bundle", "--rules", "--alertmanager", "--prometheus", "--promise", "--template"}
ABOUT_RULES = ["run", "gate", "plan", "check", "explain", "diff", "rehearse", "new", "up", "doctor"]
ABOUT_RULES += ["sla check", "sla cost", "sla incidents"]


@dataclass(frozen=True)
class Loose:
    """The shipped configuration as files of other names, in a folder each."""

    files: ConfigFiles

    @property
    def words(self) -> list[str]:
        return list(self.files.words)


@pytest.fixture
def loose(tmp_path: Path) -> Loose:
    shipped = bundle.folder()
    here = {name: tmp_path / name for name in ("rules", "am", "prom", "promised", "mails")}
    for folder in here.values():
        folder.mkdir()
    shutil.copy(shipped / "prometheus_alerts.yml", here["rules"] / "a.yml")
    shutil.copy(shipped / "alertmanager.yml", here["am"] / "main.yml")
    shutil.copy(shipped / "prometheus_config.yml", here["prom"] / "main.yml")
    shutil.copy(shipped / "notification_windows.yml", here["promised"] / "main.yml")
    shutil.copy(shipped / "templates" / "email.tmpl", here["mails"])
    return Loose(
        ConfigFiles(
            None,
            (str(here["rules"] / "*.yml"),),
            here["am"] / "main.yml",
            here["prom"] / "main.yml",
            here["promised"] / "main.yml",
            (str(here["mails"] / "*.tmpl"),),
        )
    )


def command(words: str) -> click.Command:
    found: click.Command = chaoskit
    for word in words.split():
        assert isinstance(found, click.Group)
        below = found.get_command(click.Context(found), word)
        assert below is not None, words
        found = below
    return found


def test_every_command_that_is_about_a_configuration_takes_the_same_options() -> None:
    for words in ABOUT_RULES:
        assert {name for one in command(words).params for name in one.opts} >= OPTIONS, words


@pytest.mark.parametrize(
    "words", [["run", "worker-unhealthy", "--dry-run"], ["gate", "worker-unhealthy", "--dry-run", "-j", "2"]]
)
def test_files_by_themselves_and_their_bundle_give_the_same_plan(
    words: list[str], loose: Loose, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A gate's stacks are given: how many it takes by itself depends on what else the machine does at that moment."""
    said = []
    for given in (loose.words, ["--bundle", str(bundle.folder())]):
        assert run([*words, *given, "--out", str(tmp_path / "out")]) is ExitCode.PASS
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "worker-unhealthy" in said[0]


def test_what_runs_is_made_of_the_same_texts_wherever_they_lie(loose: Loose, tmp_path: Path) -> None:
    """Both Prometheus and Alertmanager get the same files to run with, but for where these lie."""
    made = []
    for files in (loose.files, ConfigFiles(bundle.folder())):
        _, sources, *_ = plan_for(Asked("worker-unhealthy", "local", files))
        ports = Ports(*range(1, len(Ports.__dataclass_fields__) + 1))
        found = localize(sources, tmp_path / "stack", ports, 60.0, SinkAddresses(ports.webhook), {}).files
        # The sinks' addresses in Alertmanager's file are new each time.
        texts = [text for name, text in found.items() if name != "alertmanager.yml"]
        made.append(sorted(text.replace("prometheus_alerts.yml", "a.yml") for text in texts))
    assert made[0] == made[1]


def test_rule_files_of_one_name_in_two_folders_are_both_loaded(loose: Loose, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.yml").write_text("groups: [{name: g, rules: [{alert: Second, expr: up == 0}]}]\n")
    files = ConfigFiles(
        None, (*loose.files.rules, str(tmp_path / "more")), loose.files.alertmanager, loose.files.prometheus,
        loose.files.promise, loose.files.templates,
    )  # fmt: skip
    _, sources, *_ = plan_for(Asked("worker-unhealthy", "local", files))
    ports = Ports(*range(1, len(Ports.__dataclass_fields__) + 1))
    found = localize(sources, tmp_path / "stack", ports, 60.0, SinkAddresses(ports.webhook), {}).files
    text = "".join(text for name, text in found.items() if name.startswith("rules/"))
    assert "alert: Second" in text
    assert "alert: WorkerUnhealthy" in text


@pytest.mark.parametrize("words", [["plan", "worker-unhealthy"], ["run", "worker-unhealthy"], ["gate"], ["check"]])
def test_every_problem_is_told_at_once_and_alike(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--rules", "gone/*.yml", "--alertmanager", "gone.yml", "--template", "none.tmpl"]
    assert run([*words, *given]) is ExitCode.USAGE
    said = " ".join("".join(capsys.readouterr()).split())
    assert "gone/*.yml: --rules leads to no file" in said
    assert "gone.yml: cannot be read: No such file or directory" in said
    assert "none.tmpl: --template leads to no file" in said
    assert ("no Prometheus configuration is given (add --prometheus FILE" in said) is (words != ["check"])


def test_the_command_that_does_it_again_names_the_files() -> None:
    files = ConfigFiles(None, ("a*.yml", "b.yml"), Path("am.yml"), Path("p.yml"), Path("w.yml"), ("t.tmpl",))
    assert " ".join(files.words) == (
        "--alertmanager am.yml --prometheus p.yml --promise w.yml --rules a*.yml --rules b.yml --template t.tmpl"
    )
    assert files
    assert not ConfigFiles()
