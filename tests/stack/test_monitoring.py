"""The real pair on loopback: started, awaited, discovered, checked beforehand, and contained."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml

from chaoskit.errors import BadInput, EquipmentError, Place
from chaoskit.host.ports import reserve
from chaoskit.stack.monitoring import (
    await_discovery,
    check_alertmanager,
    check_prometheus,
    check_rules,
    contained_environment,
    start_alertmanager,
    start_prometheus,
)
from tests.http_stub import METRICS, Handler, serving

pytestmark = pytest.mark.stack

ALERTMANAGER = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}


@pytest.fixture
def target() -> Iterator[int]:
    """A port where something can be scraped."""

    class Metrics(Handler):
        def do_GET(self) -> None:
            self.answer("probe 1\n", kind=METRICS)

    with serving(Metrics) as server:
        yield server.server_port


def prometheus_config(target: int, alertmanager: int) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "250ms", "scrape_timeout": "200ms", "evaluation_interval": "250ms"},
        "scrape_configs": [{"job_name": "probe", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
    }


def write(folder: Path, name: str, content: Any) -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


def test_the_pair_starts_finds_each_other_and_listens_on_loopback_only(
    binaries: Any, target: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOGC", "70")
    ports = reserve(2)
    alertmanager_file = write(tmp_path, "alertmanager.yml", ALERTMANAGER)
    prometheus_file = write(tmp_path, "prometheus.yml", prometheus_config(target, ports[1]))
    url = f"http://127.0.0.1:{ports[0]}"
    with ExitStack() as stack:
        alertmanager = start_alertmanager(binaries, alertmanager_file, tmp_path / "am", ports[1], tmp_path / "am.log")
        stack.callback(alertmanager.stop)
        prometheus = start_prometheus(
            binaries, prometheus_file, tmp_path / "pm", ports[0], tmp_path / "pm.log",
            flags=["--query.lookback-delta=5s"],
        )  # fmt: skip
        stack.callback(prometheus.stop)
        await_discovery(url)

        answer = requests.get(f"{url}/api/v1/query", params={"query": "probe"}, timeout=5).json()
        assert answer["data"]["result"][0]["value"][1] == "1"
        flags = requests.get(f"{url}/api/v1/status/flags", timeout=5).json()["data"]
        assert flags["query.lookback-delta"] == "5s"
        assert flags["storage.tsdb.wal-compression"] == "false"
        assert psutil.Process(prometheus.pid).environ()["GOGC"] == "70", "the user's own word goes first"
        page = requests.get(f"{url}/api/v1/query?query=1", headers={"Origin": "https://evil.example"}, timeout=5)
        assert "Access-Control-Allow-Origin" not in page.headers, "web pages of anywhere may read its answers"
        for child, port in ((prometheus, ports[0]), (alertmanager, ports[1])):
            listening = [
                each.laddr
                for each in psutil.Process(child.pid).net_connections()
                if each.status == psutil.CONN_LISTEN or each.type == socket.SOCK_DGRAM
            ]
            assert listening == [("127.0.0.1", port)]


def test_discovery_that_does_not_come_says_what_is_missing(binaries: Any, tmp_path: Path) -> None:
    port, dead = reserve(2)
    config = prometheus_config(dead, dead)
    del config["alerting"]
    file = write(tmp_path, "prometheus.yml", config)
    child = start_prometheus(binaries, file, tmp_path / "pm", port, tmp_path / "pm.log")
    try:
        assert psutil.Process(child.pid).environ()["GOGC"] == os.environ.get("GOGC", "400")
        with pytest.raises(EquipmentError, match="no Alertmanager is active"):
            await_discovery(f"http://127.0.0.1:{port}", timeout_s=0.2)
    finally:
        child.stop()


def test_a_program_that_ends_at_once_shows_its_log(binaries: Any, tmp_path: Path) -> None:
    file = write(tmp_path, "alertmanager.yml", ALERTMANAGER)
    with pytest.raises(EquipmentError, match=r"Alertmanager: ended with [\s\S]*no-such-flag"):
        start_alertmanager(
            binaries, file, tmp_path / "am", reserve(1)[0], tmp_path / "am.log", flags=["--no-such-flag"]
        )


def test_a_taken_port_is_refused_before_anything_starts(binaries: Any, target: int, tmp_path: Path) -> None:
    file = write(tmp_path, "alertmanager.yml", ALERTMANAGER)
    with pytest.raises(BadInput, match=f"port {target} on 127.0.0.1 is taken by "):
        start_alertmanager(binaries, file, tmp_path / "am", target, tmp_path / "am.log")


def test_a_bad_configuration_is_refused_before_anything_starts(binaries: Any, tmp_path: Path) -> None:
    alertmanager = write(tmp_path, "alertmanager.yml", "route:\n  receiver: nobody\n")
    with pytest.raises(BadInput, match='undefined receiver "nobody"'):
        start_alertmanager(binaries, alertmanager, tmp_path / "am", reserve(1)[0], tmp_path / "am.log")
    prometheus = write(tmp_path, "prometheus.yml", "global:\n  scrape_intervall: 1s\n")
    with pytest.raises(BadInput, match=r"prometheus\.yml:2: field scrape_intervall not found"):
        start_prometheus(binaries, prometheus, tmp_path / "pm", reserve(1)[0], tmp_path / "pm.log")
    assert not list(tmp_path.glob("*.log"))


def test_problems_in_rules_carry_file_and_line(binaries: Any, tmp_path: Path) -> None:
    good = write(tmp_path, "good.yml", "groups: [{name: g, rules: [{alert: A, expr: up == 0}]}]\n")
    bad = write(
        tmp_path,
        "bad.yml",
        "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: sum(x) by\n"
        "      - alert: B\n        expr: up\n        annotations: {d: '{{ $value '}\n",
    )
    strict = write(tmp_path, "strict.yml", "groups:\n  - name: g\n    rule: []\n")
    problems = check_rules(binaries.promtool, [good, bad, strict])
    assert [problem.place for problem in problems] == [Place(str(bad), 5), Place(str(bad)), Place(str(strict), 3)]
    assert 'group "g", rule 1, "A": could not parse expression' in problems[0].message
    assert "unclosed action" in problems[1].message
    assert check_rules(binaries.promtool, [good]) == check_rules(binaries.promtool, []) == ()


def test_problems_in_configurations_carry_file_and_line(binaries: Any, tmp_path: Path) -> None:
    alertmanager = write(tmp_path, "am.yml", "route: {receiver: x}\nreceivers:\n  - {name: x, mail: []}\n")
    assert [str(problem) for problem in check_alertmanager(binaries.amtool, alertmanager)] == [
        f"{alertmanager}:3: field mail not found in type config.plain"
    ]
    write(tmp_path, "bad.tmpl", '{{ define "x" }}\n{{ end')
    templates = write(tmp_path, "t.yml", {**ALERTMANAGER, "templates": ["bad.tmpl"]})
    (problem,) = check_alertmanager(binaries.amtool, templates)
    assert problem.place == Place("bad.tmpl", 2) or problem.place == Place("bad.tmpl", 3)
    write(tmp_path, "rules.yml", "groups:\n  - name: g\n    rule: []\n")
    prometheus = write(tmp_path, "pm.yml", {"rule_files": ["rules.yml"]})
    (problem,) = check_prometheus(binaries.promtool, prometheus)
    assert problem.place == Place(str(tmp_path / "rules.yml"), 3)


def test_the_environment_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"PATH": "/bin", "https_proxy": "x", "ALL_PROXY": "x", "AWS_PROFILE": "x", "GOMAXPROCS": "1", "GOGC": "50"}
    monkeypatch.setattr(os, "environ", env)
    assert contained_environment() == {
        "PATH": "/bin",
        "GOGC": "50",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
