"""`attach` writes a first profile of what is there: each line says why, what cannot be known is proposed, nothing is
overwritten, and what gives no answer is said in one sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from chaoskit.cli.all import chaoskit
from chaoskit.draft import attach, surroundings
from chaoskit.draft.surroundings import Finding, Listening, of_ports, server_of
from chaoskit.errors import BadInput
from chaoskit.host.ports import reserve
from chaoskit.scenario.profile import load_profile_file

PROMETHEUS, ALERTMANAGER = "http://127.0.0.1:9090", "http://127.0.0.1:9093"
CONFIG: dict[str, Any] = {
    "route": {"receiver": "team"},
    "receivers": [
        {"name": "team", "email_configs": [{"to": "team@shop.example"}]},
        {"name": "on-call", "pagerduty_configs": [{"routing_key": "<secret>"}], "slack_configs": [{}, {}]},
    ],
}
RECORDED = {**CONFIG, "event_recorder": {"file_outputs": [{"path": "/var/lib/am.events"}]}}
WORKERS = Finding(
    "role", "worker", {"via": "supervisor", "program": "worker"}, "supervisord runs w-1, w-2", ("w-1", "w-2")
)
QUEUE = Finding("queue", "orders", {"via": "rq", "url": "redis://127.0.0.1:6379/0", "queue": "orders"}, "a queue of rq")


def target(job: str, port: int, health: str = "up") -> dict[str, Any]:
    return {"labels": {"job": job}, "scrapeUrl": f"http://127.0.0.1:{port}/metrics", "health": health}


class System:
    """The answers of a Prometheus and an Alertmanager; a test may change them."""

    def __init__(self) -> None:
        self.config = CONFIG
        self.targets = [target("prometheus", 9090), target("gone", 8001, "down"), target("shop", 8000)]
        self.values = {"environment": ["staging"], "worker": ["w-1", "w-2", "w-3"], "job": ["shop"]}

    def ask(self, whom: str, path: str) -> Any:
        if whom == "Alertmanager":
            return {"config": {"original": yaml.safe_dump(self.config)}}
        if path.startswith("/api/v1/targets"):
            return {"activeTargets": self.targets}
        if path == "/api/v1/labels":
            return list(self.values)
        return self.values.get(path.split("/")[-2], [])


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    one = System()
    monkeypatch.setattr(attach, "_answer", lambda session, urls, whom, path: one.ask(whom, path))
    return one


def profile(tmp_path: Path, *found: Finding, environment: str = "") -> tuple[str, Any]:
    """The text, and the profile that is loaded from it."""
    text = attach.written(PROMETHEUS, ALERTMANAGER, environment, found)
    (tmp_path / "staging.yml").write_text(text)
    return text, load_profile_file(tmp_path / "staging.yml")


def test_each_line_says_why_and_the_profile_can_be_loaded(system: System, tmp_path: Path) -> None:
    text, read = profile(tmp_path, WORKERS, QUEUE)
    assert (read.target.prometheus, read.target.metrics) == (PROMETHEUS, "http://127.0.0.1:8000/metrics")
    assert read.target.environment == "staging"
    assert {name for name, _ in read.handles.each()} == {"role:worker", "queue:orders"}
    without_reason = [line for line in text.splitlines() if "#" not in line and not line.endswith(":")]
    assert without_reason == ["chaoskit: 1"]


def test_the_label_of_a_role_is_the_one_that_has_its_names_for_values(system: System, tmp_path: Path) -> None:
    assert "label: worker}" in profile(tmp_path, WORKERS)[0]
    system.values["worker"] = ["w-1"]
    assert "label:" not in profile(tmp_path, WORKERS)[0]


def test_the_page_is_that_of_no_monitoring_and_one_that_is_up(system: System, tmp_path: Path) -> None:
    text, _ = profile(tmp_path, WORKERS)
    assert "# metrics: http://127.0.0.1:8001/metrics  # Prometheus scrapes it as job gone, and it is down" in text
    system.targets = []
    assert "Prometheus scrapes nothing" in profile(tmp_path, WORKERS)[0]


def test_a_recorder_is_named_and_each_integration_is_proposed(system: System, tmp_path: Path) -> None:
    text, read = profile(tmp_path, WORKERS)
    assert read.target.recorder == ""
    assert "team/email: {imap:" in text
    assert "tells team@shop.example; UNKNOWN without this line" in text
    assert "on-call/pagerduty: {service:" in text
    assert "on-call/slack/1: {channel:" in text
    assert "<secret>" not in text
    system.config = RECORDED
    assert profile(tmp_path, WORKERS)[1].target.recorder == "/var/lib/am.events"


def test_proposed_places_are_a_profile_when_they_are_taken(system: System, tmp_path: Path) -> None:
    text, _ = profile(tmp_path, WORKERS)
    (tmp_path / "staging.yml").write_text(
        re.sub(r"^    # (mailboxes:|chats:|  \S+/)", r"    \1", text, flags=re.MULTILINE)
    )
    read = load_profile_file(tmp_path / "staging.yml")
    places = {*read.target.mailboxes, *read.target.chats}
    assert places == {"team/email", "on-call/pagerduty", "on-call/slack/0", "on-call/slack/1"}


@pytest.mark.parametrize(("given", "there"), [("", []), ("prod-2", ["staging"])])
def test_an_environment_that_no_series_carries_is_said(
    system: System, tmp_path: Path, given: str, there: list[str]
) -> None:
    system.values["environment"] = there
    text, read = profile(tmp_path, WORKERS, environment=given)
    assert read.target.environment == (given or "staging")
    assert "no series carries environment=" in text


def test_without_findings_the_profile_has_no_handles(system: System, tmp_path: Path) -> None:
    text, read = profile(tmp_path)
    assert not [*read.handles.each()]
    assert "nothing was found on this host" in text


def test_processes_are_found_by_name_and_port_but_not_those_of_a_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "of_redis", lambda at, said: iter([Finding("queue", "orders", {"at": at}, said)]))
    ports = [
        Listening("127.0.0.1", (5432,), 10, "postgres", "postgres -D /data"),
        Listening("127.0.0.1", (6379,), 11, "redis-server", "redis-server *:6379"),
        Listening("127.0.0.1", (8000, 8001), 12, "python3", "python3 -m shop (api)"),
        Listening("::1", (8002,), 13, "python3", "python3 -m managed", frozenset({99})),
    ]
    found = list(of_ports(ports, {99}))
    assert [(one.kind, one.name) for one in found] == [
        ("database", "postgres-5432"), ("queue", "orders"), ("role", "python3-8000"),
    ]  # fmt: skip
    assert found[2].keys["match"] == r"(?P<name>python3\ \-m\ shop\ \(api\))"
    assert found[2].reason == "python3 (pid 12) listens on 127.0.0.1:8000 and 1 more"


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("[unix_http_server]\nfile = /run/s.sock ; here\n", "unix:///run/s.sock"),
        ("[inet_http_server]\nport=127.0.0.1:9001\n", "http://127.0.0.1:9001"),
        ("[supervisord]\n", ""),
        ("no configuration", ""),
    ],
)
def test_a_supervisord_is_found_by_its_configuration(tmp_path: Path, text: str, server: str) -> None:
    (tmp_path / "s.conf").write_text(text)
    assert server_of(tmp_path / "s.conf") == server
    assert server_of(tmp_path / "missing") == ""


def test_a_file_that_is_there_is_left_alone(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaoskit.draft.surroundings.surroundings", lambda: [WORKERS])
    out = tmp_path / "staging.yml"
    words = ["attach", "--prometheus", PROMETHEUS, "--alertmanager", ALERTMANAGER, "--out", str(out)]
    done = CliRunner().invoke(chaoskit, words)
    assert (done.exit_code, "with 1 handles" in done.output) == (0, True), done.output
    before = out.read_text()
    with pytest.raises(BadInput, match="is there already"):
        CliRunner().invoke(chaoskit, words, catch_exceptions=False)
    assert out.read_text() == before


def test_what_gives_no_answer_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaoskit.draft.surroundings.surroundings", list)
    url = f"http://127.0.0.1:{reserve(1)[0]}"
    words = ["attach", "--prometheus", url, "--alertmanager", url, "--out", str(tmp_path / "new.yml")]
    with pytest.raises(BadInput, match=f"Prometheus at {url}: no connection"):
        CliRunner().invoke(chaoskit, words, catch_exceptions=False)
    assert not (tmp_path / "new.yml").exists()
