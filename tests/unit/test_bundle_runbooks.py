"""Every alert has a runbook, each gives advice of its own, and what it asks Prometheus can be asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chaoskit.alerting.expression import expression
from chaoskit.bundle import folder
from chaoskit.crm.contract import metrics
from tests.bundle_rules.case import FILES, PROMETHEUS, alerts, parsed
from tests.bundle_rules.documented import kebab

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_has_a_runbook_with_every_section(alert: str) -> None:
    text = (folder() / "runbooks" / f"{kebab(alert)}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.+)$", text, re.M) == [
        "Meaning",
        "Impact",
        "Diagnosis",
        "Mitigation",
        "How it resolves",
        "Rehearsal",
    ]


def test_no_two_runbooks_give_the_same_advice() -> None:
    seen: dict[str, str] = {}
    for path in sorted((folder() / "runbooks").glob("*.md")):
        for section in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            assert seen.setdefault(section, path.stem) == path.stem, f"{path.stem} repeats {seen[section]}: {section}"


def test_runbooks_name_only_metrics_that_exist() -> None:
    records = {
        rule["record"]
        for name in FILES
        for group in parsed(name)["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    known = {metric.name for metric in metrics(("worker-1",), "local")}
    for path in sorted((folder() / "runbooks").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        found = set(re.findall(r"\b[a-z_]+:insa_\w+:\w+", text))
        assert found <= records, f"{path.stem}: {found - records}"
        named = {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"(?<![:\w])insa_\w+", text)}
        assert named <= known, f"{path.stem}: {named - known}"


def test_what_runbooks_ask_prometheus_is_promql() -> None:
    asked = [
        (path.stem, query)
        for path in sorted((folder() / "runbooks").glob("*.md"))
        for row in re.findall(r"^\| .+ \| (.+) \|$", path.read_text(encoding="utf-8"), re.M)
        for query in re.findall(r"`([^`]+)`", row)
    ]
    assert len(asked) > 3 * len(alerts())
    for stem, query in asked:
        try:
            expression(query)
        except ValueError as error:
            pytest.fail(f"{stem}: {query}: {error}")


def test_there_is_no_runbook_for_an_alert_that_does_not_exist() -> None:
    written = {path.stem for path in (folder() / "runbooks").glob("*.md")}
    assert written == {kebab(alert) for alert in alerts()}


def test_a_runbook_names_a_shipped_scenario_or_says_that_there_is_none() -> None:
    for alert, (file, _) in alerts().items():
        text = (folder() / "runbooks" / f"{kebab(alert)}.md").read_text(encoding="utf-8")
        rehearsal = " ".join(text.split("\n## Rehearsal\n")[1].split())
        named = re.findall(r"`chaoskit run ([\w-]+)`", rehearsal)
        assert all((SCENARIOS / f"{name}.yml").is_file() for name in named), (alert, named)
        if file == PROMETHEUS:
            assert kebab(alert) in named
        else:
            assert re.search(
                r"\b(no scenario|none) ships|no scenario|not in reasonable time|cannot be drilled", rehearsal, re.I
            )
