"""The user's own files before the real programs: whose word counts, and what only a program that was not asked knows.

The programs are stand-ins that write down how they were called, and refuse what they are told to refuse.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chaoskit.alerting.config import load_config
from chaoskit.cli import run
from chaoskit.errors import BadInput, ExitCode
from chaoskit.stack import original
from chaoskit.stack.binaries import installed, is_older, nearest
from tests.check_examples import ALERTMANAGER, PROMETHEUS, RULES

PROGRAM = """\
#!/bin/sh
[ "$1" = --version ] && {{ echo "{name}, version {version} (x)"; exit 0; }}
echo "$@" >> {calls}
{body}
exit 0
"""
Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Puts a stand-in into a generation of a private cache of this test; its calls are written to the file given."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("CHAOSKIT_CACHE", str(cache))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("PROMTOOL", "AMTOOL", "PROMETHEUS", "ALERTMANAGER"):
        monkeypatch.delenv(f"CHAOSKIT_{name}", raising=False)

    def put(generation: str, name: str, version: str, body: str = "") -> Path:
        program = cache / "binaries" / generation / name
        program.parent.mkdir(parents=True, exist_ok=True)
        calls = program.with_name(f"{name}.calls")
        program.write_text(PROGRAM.format(name=name, version=version, calls=calls, body=body))
        program.chmod(0o755)
        return calls

    return put


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team's files, in the current directory."""
    folder = tmp_path / "own"
    folder.mkdir()
    for name, text in (("rules.yml", RULES), ("alertmanager.yml", ALERTMANAGER), ("prometheus.yml", PROMETHEUS)):
        (folder / name).write_text(text)
    monkeypatch.chdir(folder)
    return folder


def refuses(said: str) -> str:
    return f"echo \"Checking '$2'  FAILED: {said}\"; exit 1"


def refuses_rules(text: str, words: dict[str, str]) -> str:
    """What promtool answers to `check rules` where it takes no rule of these names; other checks pass."""
    lines = []
    group, number = "", 0
    for at, line in enumerate(text.splitlines(), 1):
        if "- name:" in line:
            group, number = line.split()[-1], 0
        if "- alert:" in line or "- record:" in line:
            number += 1
            if said := words.get(line.split()[-1]):
                why = f"could not parse expression: {said}"
                lines.append(f'%s: {at + 1}:9: group "{group}", rule {number}, "X": {why}')
    printed = "\\n".join(["Checking %s", "  FAILED:", *lines, ""])
    files = ' "$4"' * (len(lines) + 1)
    return f"[ \"$2\" = rules ] || exit 0\nprintf '{printed}'{files}; exit 1"


def check(*more: str) -> ExitCode:
    return run(["check", "--bundle", ".", *more])


def test_each_program_is_called_once_for_its_files_whatever_asks_again(here: Path, put: Put) -> None:
    promtool, amtool = put("new", "promtool", "3.5.0"), put("new", "amtool", "0.33.0")
    for _ in range(2):
        assert original.ask(load_config(Path())).refusals == ()
    assert [line.split()[:2] for line in sorted(promtool.read_text().splitlines())] == [
        ["check", "config"],
        ["check", "rules"],
    ]
    assert amtool.read_text().splitlines() == ["check-config alertmanager.yml"]


def test_amtool_is_asked_without_templates_where_one_of_their_files_cannot_be_opened(here: Path, put: Put) -> None:
    """It would open a FIFO and wait, or refuse the file for that alone; what else is wrong is told as ever."""
    os.mkfifo(here / "gone.tmpl")
    (here / "alertmanager.yml").write_text(f"templates: ['*.tmpl']\n{ALERTMANAGER}")
    put("a", "amtool", "0.33.0", f"grep -q tmpl $2 && exec sleep 60; {refuses('at most one of basic_auth')}")
    config = load_config(Path())
    assert "gone.tmpl" in config.lost_templates
    (refusal,) = original.ask(config).refusals
    assert str(refusal.problem) == "alertmanager.yml: at most one of basic_auth"


def test_the_nearest_generation_judges(put: Put) -> None:
    """The first that is no older than the user's; without a version, or where all are older, the newest."""
    for generation, version in (("a", "0.25.0"), ("b", "0.33.1"), ("c", "0.28.1+ds")):
        put(generation, "amtool", version)
    judges = {yours: nearest("amtool", yours) for yours in ("", "0.25", "0.26", "0.28.1", "0.30.0", "0.34")}
    versions = [(yours, tool.version) for yours, tool in judges.items() if tool]
    assert versions[:3] == [("", "0.33.1"), ("0.25", "0.25.0"), ("0.26", "0.28.1+ds")]
    assert versions[3:] == [("0.28.1", "0.28.1+ds"), ("0.30.0", "0.33.1"), ("0.34", "0.33.1")]
    assert not is_older("0.33.1", "0.33")
    assert is_older("0.9", "0.25")


def test_a_program_that_is_named_is_the_only_one(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    named = put("a", "amtool", "0.25.0").with_name("amtool")
    put("b", "amtool", "0.33.1")
    monkeypatch.setenv("CHAOSKIT_AMTOOL", str(named))
    assert [tool.version for tool in installed("amtool")] == ["0.25.0"]


def test_a_refusal_of_the_newest_ends_the_command(here: Path, put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    put("old", "amtool", "0.25.0")
    put("new", "amtool", "0.33.0", refuses("at most one of basic_auth"))
    assert check() == ExitCode.USAGE
    assert "amtool 0.33.0 refuses it: at most one of basic_auth [amtool]" in capsys.readouterr().out
    assert run(["rehearse", "rules.yml", "--alertmanager", "alertmanager.yml", "--out", "runs"]) == ExitCode.USAGE
    assert "alertmanager.yml: amtool 0.33.0 refuses it: at most one of" in capsys.readouterr().err


def test_a_refusal_of_an_older_one_is_unknown_and_no_end(
    here: Path, put: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    put("old", "amtool", "0.25.0", refuses("line 9: field later not found in type config.plain"))
    assert check("--yours", "alertmanager=0.25") == ExitCode.USAGE
    assert check("--yours", "alertmanager=0.33") == ExitCode.PASS  # nothing is promised here
    said = capsys.readouterr().out
    assert "refused by amtool 0.25.0; your 0.33 was not asked: field later not found" in said
    config = load_config(Path())
    answer = original.ask(config, yours={"alertmanager": "0.33"})
    assert answer.settle(config) == config
    assert [row.partition(": ")[2] for row in answer.rows] == [
        "refused by amtool 0.25.0; your 0.33 was not asked: field later not found in type config.plain"
    ]


def test_what_is_newer_than_every_program_is_played_with_the_newest(here: Path, put: Put) -> None:
    """It knows the most of it; where the own one refuses nothing, that one stays."""
    later = refuses("line 9: field later not found in type config.plain")
    for generation, version, body in (("a", "0.25.0", ""), ("b", "0.33.0", later)):
        put(generation, "amtool", version, body)
        put(generation, "alertmanager", version)
    config = load_config(Path())
    assert original.ask(config, yours={"alertmanager": "0.40"}).run_with == {}
    put("a", "amtool", "0.25.0", later)
    original._ANSWERS.clear()
    answer = original.ask(config, yours={"alertmanager": "0.40"})
    assert answer.refused == ()
    assert {name: version for name, (_, version) in answer.run_with.items()} == {
        "amtool": "0.33.0",
        "alertmanager": "0.33.0",
    }


def test_a_version_that_is_none_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--yours", "grafana=1", "--yours", "alertmanager=new") == ExitCode.USAGE
    assert capsys.readouterr().err.count("is no version (as alertmanager=0.33)") == 2


@pytest.mark.parametrize(
    "expr",
    [
        "rate(up[5m*2]) > 0",
        "rate(up[5m] anchored) > 0",
        "up smoothed > 1",
        "up + fill(0) up > 0",
        "up offset (5m+1m) > 0",
    ],
)
def test_a_newer_expression_ends_nothing_and_its_neighbours_go_on(
    here: Path, put: Put, capsys: pytest.CaptureFixture[str], expr: str
) -> None:
    """Whether promtool takes it or not; where it does not, the row is in its words."""
    name = "Newer"
    text = RULES + f"      - alert: {name}\n        expr: {expr}\n        annotations: {{summary: s, runbook_url: u}}\n"
    (here / "rules.yml").write_text(text)
    line = len(text.splitlines()) - 1
    put("new", "amtool", "0.33.0")
    put("new", "promtool", "3.14.0")
    config = load_config(Path())
    before = [rule.alert for rule in config.rules]
    assert name not in before
    assert name in config.unread
    settled = original.ask(config).settle(config)
    assert [rule.alert for rule in settled.rules] == before
    assert "newer than chaoskit's PromQL parser" in str(settled.not_understood[-1])
    assert check() == ExitCode.PASS
    assert f"rules.yml:{line}: not understood: " in capsys.readouterr().out


def test_what_no_promtool_takes_is_set_aside_in_its_words(here: Path, put: Put) -> None:
    before = [rule.alert for rule in load_config(Path()).rules]
    text = RULES + "      - alert: Newer\n        expr: rate(up[5m*2]) > 0\n"
    text += "      - alert: Older\n        expr: mad_over_time(up[5m]) > 0\n"
    (here / "rules.yml").write_text(text)
    words = {"Newer": "1:8: parse error: unexpected <op:*>", "Older": "1:1: parse error: unknown function with name"}
    put("new", "promtool", "3.5.0", refuses_rules(text, words))
    config = load_config(Path())
    answer = original.ask(config)
    assert answer.refused == ()
    settled = answer.settle(config)
    assert [rule.alert for rule in settled.rules] == before
    assert sorted(str(each).partition("refuses it: ")[2] for each in settled.not_understood) == sorted(words.values())


def test_a_slip_of_the_pen_is_refused_with_or_without_promtool(
    here: Path, put: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RULES + "      - alert: Slip\n        expr: rats(up[5m]) > 0\n"
    (here / "rules.yml").write_text(text)
    assert check("--no-programs") == ExitCode.USAGE
    assert "does not parse: unknown function" in capsys.readouterr().out
    put("new", "promtool", "3.5.0", refuses_rules(text, {"Slip": "1:1: unknown function"}))
    assert check() == ExitCode.USAGE
    assert "promtool 3.5.0 refuses it: 1:1: unknown function" in capsys.readouterr().out


def test_a_key_that_only_the_installed_program_knows_is_a_row(
    here: Path, put: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    text = ALERTMANAGER.replace("  - name: web\n", "  - name: web\n    outputs: [x]\n")
    (here / "alertmanager.yml").write_text(text)
    line = text.splitlines().index("    outputs: [x]") + 1
    assert check("--no-programs") == ExitCode.USAGE
    put("new", "amtool", "0.40.0")
    assert check() == ExitCode.PASS
    assert f"alertmanager.yml:{line}: not understood: unknown key 'outputs' in a receiver" in capsys.readouterr().out
    assert run(["explain", "ManyErrors", "--bundle", "."]) == ExitCode.PASS
    put("new", "amtool", "0.40.0", refuses(f"line {line}: field outputs not found in type config.plain"))
    original._ANSWERS.clear()
    assert check() == ExitCode.USAGE


def test_files_that_are_only_on_the_users_machine_are_notes(here: Path, put: Put) -> None:
    put("new", "promtool", "3.5.0")
    job = "    authorization: {credentials_file: /run/secrets/token}\n"
    (here / "prometheus.yml").write_text(PROMETHEUS + job)
    answer = original.ask(load_config(Path()))
    (note,) = answer.notes
    assert "credentials_file names a file that is not on this machine" in note
    assert answer.refusals == ()


def test_templates_are_read_below_the_configuration_only(here: Path, tmp_path: Path) -> None:
    """Else a configuration of anybody's could have any file copied that its reader may read."""
    (tmp_path / "key.tmpl").write_text("KEY")
    (here / "linked.tmpl").symlink_to(tmp_path / "key.tmpl")
    (here / "inside.tmpl").write_text('{{ define "x" }}y{{ end }}')
    inside = f"templates: [inside.tmpl, '{here}/in*.tmpl', '/etc/alertmanager/inside.tmpl']\n" + ALERTMANAGER
    (here / "alertmanager.yml").write_text(inside)
    assert [key for key in load_config(Path()).sources if key.startswith("template:")]
    for outside in ("../key.tmpl", str(tmp_path / "key.tmpl"), "linked.tmpl", "*.tmpl", "/etc/shadow"):
        (here / "alertmanager.yml").write_text(f"templates: ['{outside}']\n" + ALERTMANAGER)
        with pytest.raises(BadInput, match="leads out of the configuration's folder"):
            load_config(Path())
