"""Each thing that doctor looks at on a running system: once as it should be, once not."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from chaoskit import bundle
from chaoskit.alerting.config import load_config
from chaoskit.examine import canary as canary_module
from chaoskit.examine import receivers
from chaoskit.examine.attached import examine_attached
from chaoskit.examine.endpoint import Checked
from chaoskit.examine.prometheus import skewed
from chaoskit.handles.role import Role
from chaoskit.scenario.model import Access, Attached, Handles, Secret
from chaoskit.witness.config import RECEIVER, patched
from tests.http_stub import Handler, serving
from tests.witness_examples import TOKEN, message, post, witness

CONFIG = load_config(bundle.folder(), complete=True)
ROUTES = (bundle.folder() / "alertmanager.yml").read_text()


class Fake:
    """Prometheus, Alertmanager and a metrics page in one: what is at each path can be changed."""

    def __init__(self) -> None:
        self.pages: dict[str, Any] = {}
        self.status = 200
        self.posted: list[Any] = []
        self.on_post = lambda alert: None
        self.url = ""


@contextmanager
def played() -> Iterator[Fake]:
    """One on a free port."""
    fake = Fake()

    class Pages(Handler):
        def do_GET(self) -> None:
            found = fake.pages.get(urlsplit(self.path).path)
            found = found() if callable(found) else found
            self.answer(found, 404 if found is None else fake.status)

        def do_POST(self) -> None:
            (alert,) = json.loads(self.read())
            fake.posted.append(alert)
            self.answer(status=fake.status)
            fake.on_post(alert)

    with serving(Pages) as server:
        fake.url = server.url
        yield fake


def healthy(fake: Fake, token_file: Path, witness_url: str) -> Attached:
    """Everything as it should be."""
    groups: dict[float, list[dict[str, Any]]] = {}
    for rule in CONFIG.rules:
        if rule.alert:
            groups.setdefault(rule.interval_s, []).append(
                {
                    "name": rule.alert,
                    "query": rule.expr,
                    "duration": rule.for_s,
                    "keepFiringFor": rule.keep_firing_for_s,
                    "labels": dict(rule.labels),
                }
            )
    rules = [{"interval": interval_s, "rules": found} for interval_s, found in groups.items()]
    scraped = datetime.now(UTC).isoformat()
    target = {"scrapeUrl": f"{fake.url}/metrics", "health": "up", "lastScrape": scraped, "labels": {}}
    fake.pages = {
        "/api/v1/status/buildinfo": {"data": {"version": "2.42.0"}},
        "/api/v1/query": lambda: {"data": {"result": [time.time(), ""]}},
        "/api/v1/alertmanagers": {"data": {"activeAlertmanagers": [{"url": f"{fake.url}/api/v2/alerts"}]}},
        "/api/v1/targets": {"data": {"activeTargets": [target]}},
        "/api/v1/rules": {"data": {"groups": rules}},
        "/api/v2/status": {
            "config": {"original": patched(ROUTES, witness_url, str(token_file))},
            "versionInfo": {"version": "0.25.0"},
        },
        "/api/v1/status/config": {"data": {"yaml": (bundle.folder() / "prometheus_config.yml").read_text()}},
        "/api/v2/silences": [],
        "/metrics": '# TYPE up_ gauge\nup_{environment="staging"} 1\n',
    }
    return Attached(
        prometheus=fake.url,
        alertmanager=fake.url,
        metrics=f"{fake.url}/metrics",
        environment="staging",
        witness=witness_url,
        access={"witness": Access(bearer=Secret(file=str(token_file)))},
    )


@pytest.fixture
def system(tmp_path: Path) -> Iterator[tuple[Fake, Attached]]:
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    with witness() as server, played() as fake:
        target = healthy(fake, token_file, server.url)

        def deliver(alert: dict[str, Any]) -> None:
            body = message(status="resolved" if "endsAt" in alert else "firing")
            body["alerts"][0]["labels"] = alert["labels"]
            post(server, RECEIVER, body)

        fake.on_post = deliver
        yield fake, target


def look(target: Attached, handles: Handles | None = None, *, canary: bool = False) -> dict[str, Checked]:
    """The line of each thing; of several the first."""
    found: dict[str, Checked] = {}
    for line in examine_attached(target, handles or Handles(), CONFIG, canary=canary):
        found.setdefault(line.what, line)
    return found


def test_a_healthy_system_has_nothing_missing_and_its_canary_comes_through(system: tuple[Fake, Attached]) -> None:
    fake, target = system
    handles = Handles({"role": {"self": Role(match=r".*pytest(?P<name>.*)")}})
    found = look(target, handles, canary=True)
    assert [line for line in found.values() if line.state != "ok"] == []
    assert {"prometheus", "alertmanager", "metrics", "witness", "rules", "silences", "canary", "role self"} <= set(
        found
    )
    assert "2.42.0" in found["prometheus"].detail
    fired, ended = fake.posted
    assert fired["labels"] == ended["labels"]
    assert "endsAt" in ended


def shown(fake: Fake) -> str:
    """The configuration that Alertmanager shows."""
    return str(fake.pages["/api/v2/status"]["config"]["original"])


@pytest.mark.parametrize(
    "newer",
    [("receivers:", "later: {x: y}\nreceivers:"), ("- name:", "- labels: {team: one}\n    name:")],
)
def test_a_canary_finds_its_way_through_a_newer_configuration(
    system: tuple[Fake, Attached], newer: tuple[str, str]
) -> None:
    fake, target = system
    text = shown(fake).replace(*newer)
    assert text != shown(fake)
    assert canary_module.who_hears(target, text) == canary_module.who_hears(target, shown(fake)) == (RECEIVER,)


def test_an_alertmanager_that_fails_when_the_tests_of_receivers_are_to_end_is_a_line(
    system: tuple[Fake, Attached], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each receiver has its own line all the same, and the witnesses are let go."""
    fake, target = system
    monkeypatch.setattr(receivers, "_WITHIN_S", 0.1)
    receiver = '{name: crew, webhook_configs: [{url: "http://a.example/"}]}'
    fake.pages["/api/v2/status"]["config"]["original"] = f"{{route: {{receiver: crew}}, receivers: [{receiver}]}}"
    fake.on_post = lambda alert: setattr(fake, "status", 503)
    failed, *lines = receivers.examine_receivers(replace(target, witness=""), CONFIG, "staging")
    assert (failed.what, failed.state) == ("alertmanager", "missing")
    assert [(one.what, one.state) for one in lines] == [("crew (webhook)", "warning")]
    assert "witness" not in {thread.name.partition("-")[0] for thread in threading.enumerate()}


def test_of_routes_that_cannot_be_read_it_is_not_said_that_one_is_missing(system: tuple[Fake, Attached]) -> None:
    fake, target = system
    fake.pages["/api/v2/status"]["config"]["original"] = shown(fake).replace("group_by:", "group_by: 1\n  was:", 1)
    line = look(target, canary=True)["canary"]
    assert (line.state, "its route cannot be read" in line.detail) == ("missing", True)
    assert "'group_by' is the number 1" in line.detail
    assert not fake.posted


def test_no_canary_is_sent_unless_asked(system: tuple[Fake, Attached]) -> None:
    fake, target = system
    assert "canary" not in look(target)
    assert fake.posted == []


TOLD = "alerting: {alertmanagers: [{static_configs: [{targets: ['localhost:9093']}]}]}"


def config_page(text: str) -> dict[str, Any]:
    """A loaded configuration of Prometheus."""
    return {"data": {"yaml": f"{text}\nscrape_configs: [{{job_name: insa-crm}}]\n"}}


WRONG = [
    (
        "/api/v1/alertmanagers",
        {"data": {"activeAlertmanagers": []}},
        "Prometheus tells Alertmanager",
        "missing",
        "no Al",
    ),
    (
        "/api/v1/alertmanagers",
        {"data": {"activeAlertmanagers": [{"url": "http://u:pw@other:9093/api"}]}},
        "Prometheus tells Alertmanager",
        "warning",
        "http://other:9093",
    ),
    ("/api/v1/targets", {"data": {"activeTargets": []}}, "Prometheus scrapes the target", "missing", "none of its 0"),
    ("/api/v1/rules", {"data": {"groups": []}}, "rules", "missing", "is not loaded"),
    ("/api/v1/query", {"data": {"result": [time.time() - 100, ""]}}, "clock of prometheus", "warning", "between -"),
    ("/metrics", 'up_{environment="production"} 1\n', "metrics", "missing", "it says production"),
    ("/metrics", "up_ 1\n", "metrics", "missing", "no series carries"),
    ("/metrics", "<html>", "metrics", "missing", "no page of metrics"),
    ("/api/v2/status", {"config": {"original": ROUTES}}, "receivers told to the witness", "missing", "critical-alerts"),
    ("/api/v2/status", {"config": {"original": ROUTES}}, "canary", "missing", "not sent: its route is not loaded"),
    (
        "/api/v1/status/config",
        config_page("alerting: {}"),
        "way to Alertmanager",
        "missing",
        "sends to no Alertmanager",
    ),
    (
        "/api/v1/status/config",
        config_page(
            TOLD.replace("alerting: {", "alerting: {alert_relabel_configs: [{regex: severity, action: labeldrop}], ")
        ),
        "way to Alertmanager",
        "missing",
        "relabelling takes severity from",
    ),
    (
        "/api/v1/status/config",
        config_page(f"global: {{external_labels: {{zone: a}}}}\n{TOLD}"),
        "external labels",
        "warning",
        "zone",
    ),
    ("/api/v1/status/config", config_page("- no mapping"), "way to Alertmanager", "warning", "cannot be read"),
    (
        "/api/v2/status",
        {"config": {"original": ROUTES}, "cluster": {"peers": [{"address": "a:9094"}, {"address": "b:9094"}]}},
        "every Alertmanager is told",
        "missing",
        "2 members (a:9094, b:9094), Prometheus tells 1",
    ),
    ("/api/v2/status", None, "alertmanager", "missing", "404"),
    ("/api/v1/status/buildinfo", "<html>", "prometheus", "missing", "not as prometheus does"),
]


@pytest.mark.parametrize(("path", "page", "what", "state", "said"), WRONG, ids=[f"{one[0]}-{one[2]}" for one in WRONG])
def test_what_is_wrong_is_named(
    system: tuple[Fake, Attached], path: str, page: Any, what: str, state: str, said: str
) -> None:
    fake, target = system
    fake.pages[path] = page
    line = look(target, canary=what == "canary")[what]
    assert (line.state, said in line.detail) == (state, True), line
    assert line.mend
    assert "pw" not in line.detail
    assert fake.posted == []


def test_a_rule_with_another_for_is_named_and_extra_ones_are_counted(system: tuple[Fake, Attached]) -> None:
    fake, target = system
    first = fake.pages["/api/v1/rules"]["data"]["groups"][0]["rules"]
    first[0]["duration"] += 60
    first.append({"name": "Extra", "query": "up", "labels": {}})
    lines = [one for one in examine_attached(target, Handles(), CONFIG, canary=False) if one.what == "rules"]
    assert [one.state for one in lines] == ["missing", "ok"]
    assert first[0]["name"] in lines[0].detail
    assert "has for:" in lines[0].detail
    assert "1 more are loaded" in lines[1].detail


@pytest.mark.parametrize(
    ("label", "value", "state"),
    [("alertname", "WorkerUnhealthy", "missing"), ("instance", "x", "warning"), ("alertname", "Other", "ok")],
)
def test_a_silence_that_mutes_a_promised_alert_is_named(
    system: tuple[Fake, Attached], label: str, value: str, state: str
) -> None:
    fake, target = system
    matchers = [{"name": label, "value": value, "isRegex": False, "isEqual": True}]
    fake.pages["/api/v2/silences"] = [{"id": "s1", "matchers": matchers, "status": {"state": "active"}}]
    assert look(target)["silences"].state == state
    fake.pages["/api/v2/silences"][0]["status"]["state"] = "expired"
    assert look(target)["silences"].state == "ok"


@pytest.mark.parametrize(("status", "said"), [(401, "wants credentials"), (403, "refuses this"), (500, "status 500")])
def test_who_is_not_let_in_is_told_the_setting(system: tuple[Fake, Attached], status: int, said: str) -> None:
    fake, target = system
    fake.status = status
    found = look(target)
    assert said in found["prometheus"].detail
    assert "prometheus:" in found["prometheus"].mend


def test_a_missing_secret_a_wrong_token_and_no_witness_are_told_apart(
    system: tuple[Fake, Attached], tmp_path: Path
) -> None:
    _, target = system
    wrong = tmp_path / "wrong"
    wrong.write_text("another-token-entirely")
    refused = look(replace(target, access={"witness": Access(bearer=Secret(file=str(wrong)))}))["witness"]
    assert "refuses the profile's token" in refused.detail
    assert "another-token" not in str(refused)
    unread = look(replace(target, access={"witness": Access(bearer=Secret(env="NO_SUCH_VARIABLE_X"))}))["witness"]
    assert "NO_SUCH_VARIABLE_X" in unread.detail
    assert look(replace(target, witness="http://127.0.0.1:1"))["witness"].mend == "start it: chaoskit witness serve"
    assert look(replace(target, witness=""))["witness"].state == "warning"


def test_a_canary_that_nobody_hears_is_missing_and_is_ended_all_the_same(
    system: tuple[Fake, Attached], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, target = system
    monkeypatch.setattr(canary_module, "WITHIN_S", 0.2)
    fake.on_post = lambda alert: None
    line = look(target, canary=True)["canary"]
    assert (line.state, "not heard by the witness" in line.detail) == ("missing", True)
    assert len(fake.posted) == 2


def test_a_role_without_processes_is_missing() -> None:
    handles = Handles({"role": {"worker": Role(match=r"no such process (?P<name>\S+)")}})
    nobody = Attached("http://127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1", "staging")
    found = look(nobody, handles)
    assert found["role worker"].state == "missing"
    assert "no program listens on this port" in found["prometheus"].detail


def test_a_clock_is_only_called_wrong_when_it_certainly_is() -> None:
    assert skewed("prometheus", (-0.5, 1.5)).state == "ok"
    assert skewed("prometheus", (1.1, 1.5)).state == "warning"
    assert skewed("prometheus", (-3.0, -1.1)).state == "warning"
