"""What promtool and amtool find, said at the reader's line; and the check without them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from chaoskit.alerting.config import load_config
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.cli import run
from chaoskit.stack.binaries import Binaries, Tool
from chaoskit.stack.check_programs import ask_programs
from tests.check_examples import ALERTMANAGER, PROMETHEUS, RULES

pytestmark = pytest.mark.stack

TEMPLATE = '{{ define "subject" }}{{ .CommonLabels.alertname }}: {{ (index .Alerts 1).Labels.team }}{{ end }}\n'
HEADERS = "      - to: ops@example.com\n        headers: {Subject: '{{ template \"subject\" . }}'}\n"


Checkers = Mapping[str, Tool]


@pytest.fixture
def programs(generation: Binaries) -> Checkers:
    """The checkers of each generation."""
    return {name: Tool(name, getattr(generation, name), generation.versions[name]) for name in ("promtool", "amtool")}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS)
    (tmp_path / "alertmanager.yml").write_text(ALERTMANAGER)
    monkeypatch.chdir(tmp_path)
    return Path()


def found(bundle: Path, programs: Checkers) -> list[tuple[str, str, str]]:
    config = load_config(bundle)
    outcome = check(LintContext(config, elsewhere=ask_programs(config, found=programs)))
    return [
        (each.id, str(each.place), each.message)
        for each in outcome.findings
        if each.id in ("promtool", "amtool", "template-fails")
    ]


def test_good_files_have_nothing_to_say(bundle: Path, programs: Checkers) -> None:
    assert found(bundle, programs) == []


def test_a_template_in_an_annotation_that_promtool_refuses_is_at_its_rule(bundle: Path, programs: Checkers) -> None:
    text = RULES.replace("{{ $labels.worker }}", "{{ $labels.worker | nope }}")
    (bundle / "rules.yml").write_text(text)
    ((id_, place, message),) = found(bundle, programs)
    line = text.splitlines().index("      - alert: WorkerDown") + 1
    assert (id_, place) == ("promtool", f"rules.yml:{line}")
    assert 'function "nope" not defined' in message


def test_what_promtool_says_about_a_line_is_said_about_that_line(bundle: Path, programs: Checkers) -> None:
    text = RULES.replace("labels: {severity: warning, team: work}", "labels: {__name__: warning, team: work}")
    (bundle / "rules.yml").write_text(text)
    ((id_, place, message),) = found(bundle, programs)
    line = text.splitlines().index("      - alert: WorkerDown") + 1
    assert (id_, place.partition(":")[0]) == ("promtool", "rules.yml")
    assert line <= int(place.partition(":")[2]) <= line + 3
    assert "invalid label name" in message


def test_a_prometheus_configuration_that_promtool_refuses(bundle: Path, programs: Checkers) -> None:
    (bundle / "prometheus.yml").write_text(PROMETHEUS + "    static_configs: nonsense\n")
    ((id_, place, message),) = found(bundle, programs)
    assert (id_, place) == ("promtool", "prometheus.yml:7")
    assert "static_configs" in message or "unmarshal" in message


def test_an_alertmanager_configuration_that_amtool_refuses(bundle: Path, programs: Checkers) -> None:
    text = (bundle / "alertmanager.yml").read_text().replace("url: http", "urll: http")
    (bundle / "alertmanager.yml").write_text(text)
    assert ("amtool", "urll") in [
        (id_, "urll" if "urll" in message else "") for id_, _, message in found(bundle, programs)
    ]


def test_a_template_that_fails_only_for_some_alerts_is_found_at_its_integration(
    bundle: Path, programs: Checkers
) -> None:
    """It passes for two alerts, and not for a single one."""
    text = (bundle / "alertmanager.yml").read_text().replace("      - to: ops@example.com\n", HEADERS, 1)
    (bundle / "alertmanager.yml").write_text("templates: [mail.tmpl]\n" + text)
    (bundle / "mail.tmpl").write_text(TEMPLATE)
    ((id_, place, message),) = found(bundle, programs)
    line = ("templates: [mail.tmpl]\n" + text).splitlines().index(HEADERS.splitlines()[1]) + 1
    assert (id_, place) == ("template-fails", f"alertmanager.yml:{line}")
    assert "headers.Subject in email_configs of everybody fails for an alert without labels" in message


def test_a_template_that_does_not_exist_is_found(bundle: Path, programs: Checkers) -> None:
    text = (bundle / "alertmanager.yml").read_text().replace("      - to: ops@example.com\n", HEADERS, 1)
    (bundle / "alertmanager.yml").write_text(text)
    assert [id_ for id_, _, _ in found(bundle, programs)] == ["template-fails"]


def test_without_the_programs_the_check_goes_on_and_says_what_it_left_out(bundle: Path, programs: Checkers) -> None:
    config = load_config(bundle)
    outcome = check(LintContext(config, elsewhere=ask_programs(config, found={})))
    left_out = {lint for skipped in outcome.skipped for lint in skipped.lints}
    assert {"promtool", "amtool", "template-fails"} <= left_out
    assert [each for each in outcome.findings if each.severity > 0 and each.id != "not-promised"] == []


def test_the_shipped_configuration_passes_with_its_templates_rendered(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--strict"]) == 0
    assert "promtool was not found" not in capsys.readouterr().out
