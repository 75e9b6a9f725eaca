"""`chaoskit bundle render`: files to deploy, whole or not at all, and every address in them one's own."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaoskit.alerting.config import load_config
from chaoskit.alerting.model import AlertConfig
from chaoskit.alerting.routing import match_routes
from chaoskit.bundle import folder
from chaoskit.bundle.render import PARTS, possible_files, render
from chaoskit.cli import run
from chaoskit.errors import BadInput, ExitCode
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.monitoring import check_alertmanager, check_prometheus, check_rules
from tests.bundle_routing.documented import ALERTS, ways

CHOICES = [chosen for count in range(len(PARTS) + 1) for chosen in itertools.combinations(PARTS, count)]
EVERY_SETTING = {
    "smtp": "mail.example.com:587",
    "smtp.from": "alerts@example.com",
    "smtp.tls": "true",
    "to": "ops@example.com",
    "to.worker-alerts": "workers@example.com, night@example.com",
    "webhook": "https://hooks.example.com/critical?room=1",
    "watchdog": "https://beat.example.com/ping/1234",
    "runbooks": "https://wiki.example.com/runbooks",
    "environment": "staging",
    "metrics": "crm.example.com:9100",
    "sla": "levels.example.com:9097",
    "prometheus": "prometheus.example.com:9095",
    "alertmanager": "alertmanager.example.com:9094",
}


def options(settings: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in settings.items()]


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def snapshot(path: Path) -> dict[str, bytes]:
    """Every file below, and nothing beside the folder that was not there."""
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.mark.stack
@pytest.mark.outermost
@pytest.mark.parametrize("parts", CHOICES, ids=lambda parts: "+".join(parts) or "none")
def test_what_is_rendered_is_valid_for_each_generation(
    generation: Binaries, tmp_path: Path, parts: tuple[str, ...]
) -> None:
    belongs = {"watchdog": "monitoring", "sla": "sla"}
    settings = {key: value for key, value in EVERY_SETTING.items() if key not in belongs or belongs[key] in parts}
    render(tmp_path / "out", parts, options(settings))
    out = tmp_path / "out"
    rules = sorted(out.glob("*_alerts.yml"))
    assert [file.name for file in rules] == sorted(["prometheus_alerts.yml", *(f"{part}_alerts.yml" for part in parts)])
    assert parsed(out / "prometheus_config.yml")["rule_files"] == [
        "prometheus_alerts.yml",
        *(f"{part}_alerts.yml" for part in parts),
    ]
    assert check_rules(generation.promtool, rules) == ()
    assert check_prometheus(generation.promtool, out / "prometheus_config.yml") == ()
    assert check_alertmanager(generation.amtool, out / "alertmanager.yml") == ()


@pytest.mark.stack
def test_the_checkers_would_say_what_is_wrong(generation: Binaries, bundle: Path, tmp_path: Path) -> None:
    for name, right, wrong in (
        ("alertmanager.yml", "receiver: worker-alerts", "receiver: nobody"),
        ("prometheus_config.yml", "scrape_interval: 15s", "scrape_interval: often"),
    ):
        text = (bundle / name).read_text(encoding="utf-8")
        assert right in text
        (tmp_path / name).write_text(text.replace(right, wrong), encoding="utf-8")
    assert check_alertmanager(generation.amtool, tmp_path / "alertmanager.yml")
    assert check_prometheus(generation.promtool, tmp_path / "prometheus_config.yml")


@pytest.mark.parametrize("parts", CHOICES, ids=lambda parts: "+".join(parts) or "none")
def test_a_rendering_holds_everything_to_deploy_and_slack_is_off(tmp_path: Path, parts: tuple[str, ...]) -> None:
    written = render(tmp_path / "out", parts)
    found = snapshot(tmp_path / "out")
    assert sorted(found) == sorted(str(file) for file in written)
    assert {Path(name).parts[0] for name in found} == {
        "alertmanager.yml",
        "prometheus_config.yml",
        "prometheus_alerts.yml",
        *(f"{part}_alerts.yml" for part in parts),
        "notification_windows.yml",
        "service_levels.yml",
        "templates",
        "dashboards",
        "runbooks",
    }
    for name, data in found.items():
        assert not re.search(rb"^#(source|environment|monitoring|sla)\b", data, re.M), name
    kinds = {key for receiver in parsed(tmp_path / "out/alertmanager.yml")["receivers"] for key in receiver}
    assert kinds == {"name", "email_configs", "webhook_configs"}
    assert b"# slack_configs:" in found["alertmanager.yml"]


def test_without_parts_and_settings_it_means_what_is_shipped(tmp_path: Path) -> None:
    render(tmp_path / "out")
    for name in ("alertmanager.yml", "prometheus_config.yml", "notification_windows.yml", "prometheus_alerts.yml"):
        assert parsed(tmp_path / "out" / name) == parsed(folder() / name)


def test_the_watchdog_has_a_route_of_its_own_before_any_other(bundle: Path) -> None:
    first, critical, *_ = parsed(bundle / "alertmanager.yml")["route"]["routes"]
    assert (first["matchers"], first["receiver"]) == (['alertname="Watchdog"'], "watchdog")
    assert "continue" not in first
    assert critical["receiver"] == "critical-alerts"


@pytest.mark.parametrize("alert", ALERTS)
def test_the_promise_speaks_of_every_alert_as_the_routes_do(config: AlertConfig, alert: str) -> None:
    """Optional alerts included: whom it names, and for how long each waits."""
    (rule,) = config.alert_rules(alert)
    promised = {
        receiver: (notice.for_s, notice.group_wait_s, notice.repeat_s)
        for (name, receiver), notice in config.promise.notices.items()
        if name == alert
    }
    assert promised == {
        way.receiver: (rule.for_s, way.group_wait_s, way.repeat_interval_s) for way in ways(ALERTS[alert])
    }
    assert {route.receiver for route in match_routes(config.route, ALERTS[alert])} <= set(config.promise.receivers)


def test_every_setting_arrives_where_it_belongs_and_nothing_old_is_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    render(out, PARTS, options(EVERY_SETTING))
    manager, prometheus = parsed(out / "alertmanager.yml"), parsed(out / "prometheus_config.yml")
    assert manager["global"] == {
        "smtp_smarthost": "mail.example.com:587",
        "smtp_from": "alerts@example.com",
        "smtp_require_tls": True,
    }
    mails = {r["name"]: [m["to"] for m in r.get("email_configs", [])] for r in manager["receivers"]}
    assert mails.pop("watchdog") == []
    assert mails.pop("worker-alerts") == ["workers@example.com, night@example.com"]
    assert set(map(tuple, mails.values())) == {("ops@example.com",)}
    hooks = {r["name"]: r["webhook_configs"][0]["url"] for r in manager["receivers"] if "webhook_configs" in r}
    assert hooks == {"critical-alerts": EVERY_SETTING["webhook"], "watchdog": EVERY_SETTING["watchdog"]}
    assert prometheus["global"]["external_labels"] == {"environment": "staging"}
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    assert jobs == {
        "insa-crm": ["crm.example.com:9100"],
        "prometheus": ["prometheus.example.com:9095"],
        "alertmanager": ["alertmanager.example.com:9094"],
        "chaoskit-sla": ["levels.example.com:9097"],
    }
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"] == [
        {"targets": ["alertmanager.example.com:9094"]}
    ]
    config = load_config(out, complete=True)
    books = {rule.alert: rule.annotations["runbook"] for rule in config.rules if rule.alert}
    assert set(books) == set(ALERTS)
    assert all(re.fullmatch(r"https://wiki\.example\.com/runbooks/[a-z0-9-]+", book) for book in books.values())
    assert config.promise.runbook_base == "https://wiki.example.com/runbooks/"
    promised = config.promise.receivers
    assert promised["worker-alerts"].recipients == ("workers@example.com", "night@example.com")
    assert promised["dlq-alerts"].recipients == ("ops@example.com",)
    for name in ("alertmanager.yml", "prometheus_config.yml", "notification_windows.yml"):
        bare = "\n".join(line.partition(" #")[0] for line in (out / name).read_text().splitlines() if line[:1] != "#")
        assert not re.search(r"localhost|insaing\.com|docs\.insa", bare), name


def test_comments_stay_as_they_are_written(tmp_path: Path) -> None:
    render(tmp_path / "out", (), ["to=ops@example.com"])
    before = (folder() / "alertmanager.yml").read_text(encoding="utf-8")
    after = (tmp_path / "out/alertmanager.yml").read_text(encoding="utf-8")
    comments = [line for line in before.splitlines() if line.strip().startswith("# ")]
    assert len(comments) > 20
    assert [line for line in after.splitlines() if line.strip().startswith("# ")] == comments


WRONG = {
    "smpt=mail.example.com:25": "'smpt' is not a setting (did you mean 'smtp'?)",
    "colour=red": "'colour' is not a setting (the settings are smtp, ",
    "to.worker-alert=a@b.c": "'worker-alert' is not a receiver that mails (did you mean 'worker-alerts'?)",
    "to.watchdog=a@b.c": "'watchdog' is not a receiver that mails",
    "smtp": "is not of the form key=value",
    "smtp.from=": "there is no value for the sender of mails",
    "metrics=localhost": "'localhost' is no HOST:PORT for the service's metrics (write metrics=HOST:PORT)",
    "prometheus=localhost:70000": "70000 is no port",
    "to=ops": "'ops' is no ADDRESS",
    "webhook=ftp://example.com/": "is no URL",
    "webhook=http://x/ #": "is no URL",
    "runbooks=http://x/: y": "is no URL",
    "environment=true": "'true' is no name",
    "environment=a b": "is no NAME",
    "watchdog=http://x/": "there is no such setting without monitoring (add --with monitoring)",
    "smtp.tls=maybe": "is no true|false",
}


@pytest.mark.parametrize("option", WRONG)
def test_a_wrong_setting_is_named_with_what_would_be_right(tmp_path: Path, option: str) -> None:
    with pytest.raises(BadInput) as bad:
        render(tmp_path / "out", (), [option])
    (problem,) = bad.value.problems
    assert str(problem).startswith(f"--set {option}: ")
    assert WRONG[option] in str(problem)
    assert list(tmp_path.iterdir()) == []


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(BadInput) as bad:
        render(tmp_path, ("slo", "monitoring"), ["smpt=x", "to=a@b.c", "to=d@e.f"])
    places = [str(problem.place) for problem in bad.value.problems]
    assert places == ["--with slo", "--set smpt=x", "--set to=d@e.f", str(tmp_path)]
    assert "did you mean 'sla'?" in str(bad.value)


def test_every_file_that_is_shipped_is_rendered_but_code_and_the_list_of_metrics() -> None:
    """The list is for `chaoskit check`, and approved texts speak of the shipped addresses."""
    shipped = {path.relative_to(folder()).as_posix() for path in folder().rglob("*") if path.is_file()}
    assert {name for name in shipped - possible_files() if not re.search("__pycache__|^approved/", name)} == {
        "__init__.py",
        "metrics.txt",
        "render.py",
        "render_folder.py",
        "render_settings.py",
    }


@pytest.mark.stack
def test_the_command_renders_and_the_result_can_be_rehearsed(
    binaries: Binaries, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    arguments = ["bundle", "render", "--out", out]
    assert run([*arguments, "--with", "monitoring,sla", "--set", "to=ops@example.com"]) == ExitCode.PASS
    said = capsys.readouterr()
    assert f"{out}/sla_alerts.yml\n" in said.out
    assert f"{out}/dashboards/ (7)\n" in said.out
    assert said.err == ""
    assert run(arguments) == ExitCode.USAGE
    assert run([*arguments, "--force", "--set", "smpt=x"]) == ExitCode.USAGE
    assert capsys.readouterr().err.count("\n") == 2
    assert run(["plan", "worker-unhealthy", "--bundle", out]) == ExitCode.PASS
