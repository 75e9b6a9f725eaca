"""Toxiproxy and systemd, against programs that answer as documented: seen where it acts, undone by the token."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from chaoskit.adapters.base import program
from chaoskit.adapters.systemd import Systemd
from chaoskit.adapters.tc import Tc
from chaoskit.adapters.toxiproxy import Toxiproxy
from chaoskit.faults.base import Fault, FaultError, Lapsed, Made, Target
from chaoskit.faults.registry import known
from chaoskit.handles.base import Handle
from tests import fake_systemctl, fake_tc, toxiproxy


def targeted(handle: Handle, name: str, **more: Any) -> Target:
    names = handle.things(lambda _: ()) or ()
    return Target(f"{handle.kind}:{name}", names, replace(handle.at_attached(""), max_s=30.0, **more))


def prepared(kind: str, target: Target, **settings: Any) -> tuple[Fault[Any], dict[str, Any]]:
    fault = known()[kind]
    undo = fault.prepare(target, fault.settings.model_validate(settings))
    return fault, json.loads(json.dumps(undo))  # as a journal holds it


@pytest.fixture
def proxy() -> Iterator[toxiproxy.Toxiproxy]:
    with toxiproxy.running() as one:
        yield one


@pytest.fixture
def link(proxy: toxiproxy.Toxiproxy) -> Target:
    return targeted(Toxiproxy(url=proxy.url, proxy="db"), "db")


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("tcp.reset", {}), ("tcp.blackhole", {}), ("http.slow", {"by": "300ms"}), ("tcp.reset", {"ratio": 0.5})],
)
def test_a_toxic_is_seen_in_a_connection_and_gone_after_the_undo(
    proxy: toxiproxy.Toxiproxy, link: Target, kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    fault, undo = prepared(kind, link, **settings)
    assert proxy.toxics == {}
    assert "a connection was hit" in fault.start(undo).detail
    assert list(proxy.toxics) == [undo["id"]]
    assert fault.lapse(undo) == ""
    made = Made(tmp_path, link.names, settings, link.address.journaled())
    assert undo["id"] in fault.vouch(undo, made)
    fault.stop(undo)
    assert proxy.toxics == {}
    fault.stop(undo)
    assert "another program took the toxic" in fault.lapse(undo)


def test_a_toxic_that_lets_connections_pass_is_no_effect(proxy: toxiproxy.Toxiproxy, link: Target) -> None:
    proxy.blunt = True
    for kind, settings in (("tcp.reset", {}), ("tcp.blackhole", {}), ("http.slow", {"by": "200ms"})):
        fault, undo = prepared(kind, link, **settings)
        with pytest.raises(FaultError, match="none of 1 connections of our own was hit"):
            fault.start(undo)
        fault.stop(undo)
        assert proxy.toxics == {}


def test_another_level_is_the_same_toxic(proxy: toxiproxy.Toxiproxy, link: Target) -> None:
    fault, undo = prepared("http.slow", link, by="100ms")
    fault.start(undo)
    slower = fault.alter(undo, fault.settings.model_validate({"by": "400ms"}))  # type: ignore[attr-defined]
    fault.change(slower)  # type: ignore[attr-defined]
    assert [one["attributes"]["latency"] for one in proxy.toxics.values()] == [400]
    proxy.toxics[undo["id"]]["attributes"]["latency"] = 1
    assert "is {'latency': 1}, and not" in fault.lapse(slower)
    fault.stop(undo)
    assert proxy.toxics == {}


def test_a_toxic_that_goes_uninvited_has_lapsed(proxy: toxiproxy.Toxiproxy, link: Target) -> None:
    fault, undo = prepared("tcp.reset", link)
    fault.start(undo)
    proxy.toxics.clear()
    with pytest.raises(Lapsed, match="another program took the toxic"):
        fault.hold(undo, threading.Event())


def test_toxics_of_others_are_refused_and_never_touched(proxy: toxiproxy.Toxiproxy, link: Target) -> None:
    theirs = {"name": "theirs", "type": "latency", "attributes": {"latency": 1}}
    requests.post(f"{proxy.url}/proxies/db/toxics", json=theirs, timeout=5)
    with pytest.raises(FaultError, match="the proxy db has toxics that chaoskit did not make: theirs"):
        prepared("tcp.reset", link)
    proxy.toxics.clear()
    fault, undo = prepared("tcp.reset", link)
    fault.start(undo)
    requests.post(f"{proxy.url}/proxies/db/toxics", json=theirs, timeout=5)
    fault.stop(undo)
    assert list(proxy.toxics) == ["theirs"]


def test_a_proxy_that_is_not_there_or_disabled_is_told(proxy: toxiproxy.Toxiproxy) -> None:
    gone = Toxiproxy(url=proxy.url, proxy="nope")
    assert gone.things(lambda _: ()) == ()
    trouble = gone.unreachable("x", ())
    assert trouble is not None
    assert "answered 404 to GET of nope: proxy not found" in trouble[0]
    proxy.enabled = False
    trouble = Toxiproxy(url=proxy.url, proxy="db").unreachable("x", ())
    assert trouble is not None
    assert "the proxy db is disabled" in trouble[0]
    down = Toxiproxy(url="http://127.0.0.1:9", proxy="db").unreachable("x", ())
    assert down is not None
    assert "no connection" in down[0]


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two workers that systemd runs, of which each kill is followed by a restart, and a unit of somebody else's."""
    programs, folder = fake_systemctl.install(tmp_path)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for name in ("worker@1", "worker@2", "other"):
        fake_systemctl.load(folder, name)
        program("systemctl", "start", "--", name + ".service")
    yield folder
    fake_systemctl.end(folder)


def told(units: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((units / f"{name}.service").read_text())
    return found


def test_units_are_found_by_a_pattern_and_one_that_is_not_there_is_told(units: Path) -> None:
    assert Systemd(unit="worker@*").look() == ("worker@1", "worker@2")
    assert Systemd(unit="other.service").look() == ("other",)
    with pytest.raises(FaultError, match=r"systemd has no unit nope\.service"):
        Systemd(unit="nope").look()


@pytest.mark.parametrize(("kind", "settings"), [("process.stop", {}), ("process.kill", {"hold": True})])
def test_a_unit_is_down_until_it_is_given_back_and_a_timer_would_do_it_otherwise(
    units: Path, kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    target = targeted(Systemd(unit="worker@1"), "worker")
    fault, undo = prepared(kind, target, **settings)
    before = told(units, "worker@1")["MainPID"]
    assert not list(units.glob("*.timer"))
    fault.start(undo)
    assert told(units, "worker@1")["ActiveState"] == "inactive"
    assert not Path(f"/proc/{before}/cmdline").exists() or not Path(f"/proc/{before}/cmdline").read_bytes()
    [timer] = units.glob("*.timer")
    order = json.loads(timer.read_text())
    assert order["does"] == ["systemctl", "start", "--", "worker@1.service"]
    assert 30 < int(order["in"].removesuffix("s")) <= 45
    made = Made(tmp_path, target.names, settings, target.address.journaled())
    assert fault.vouch(undo, made) == "starts or resumes worker@1 via systemd"
    assert "worker@1 is active" in fault.stop(undo).detail
    assert not list(units.glob("*.timer"))
    fault.stop(undo)
    assert told(units, "worker@2")["ActiveState"] == "active"


def test_a_kill_alone_is_the_managers_to_mend(units: Path) -> None:
    fault, undo = prepared("process.kill", targeted(Systemd(unit="worker@1"), "worker"))
    before = told(units, "worker@1")["MainPID"]
    fault.start(undo)
    fault.stop(undo)
    assert told(units, "worker@1")["MainPID"] not in (0, before)
    assert not list(units.glob("*.timer"))


def test_a_paused_unit_stands_still_and_goes_on(units: Path) -> None:
    fault, undo = prepared("process.pause", targeted(Systemd(unit="worker@1"), "worker"))
    stat = Path(f"/proc/{told(units, 'worker@1')['MainPID']}/stat")
    fault.start(undo)
    assert stat.read_text().rpartition(") ")[2][0] == "T"
    with pytest.raises(FaultError, match=r"worker@1 \(role:worker\) is not running"):
        prepared("process.stop", targeted(Systemd(unit="worker@1"), "worker"))
    fault.stop(undo)
    assert stat.read_text().rpartition(") ")[2][0] != "T"


def test_a_unit_that_is_started_by_another_has_lapsed(units: Path) -> None:
    fault, undo = prepared("process.stop", targeted(Systemd(unit="worker@1"), "worker"))
    fault.start(undo)
    program("systemctl", "start", "--", "worker@1.service")
    with pytest.raises(Lapsed, match=r"worker@1 is active \(running\): something else ended the fault"):
        fault.hold(undo, threading.Event())
    fault.stop(undo)


@pytest.fixture
def qdiscs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device as tc shows it: the kernel's own discipline at its root."""
    programs, file = fake_tc.install(tmp_path)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return file


@pytest.mark.parametrize(
    ("kind", "settings", "options"),
    [
        ("net.delay", {"by": "200ms"}, ["delay", "200ms"]),
        ("net.loss", {"ratio": "10%"}, ["loss", "10%"]),
        ("net.rate", {"rate": "100KiB"}, ["rate", "819200bit"]),
    ],
)
def test_netem_has_a_handle_of_its_own_and_only_that_is_deleted(
    qdiscs: Path, kind: str, settings: dict[str, Any], options: list[str], tmp_path: Path
) -> None:
    target = targeted(Tc(dev="eth0"), "uplink")
    fault, undo = prepared(kind, target, **settings)
    fault.start(undo)
    [there] = json.loads(qdiscs.read_text())
    assert (there["handle"], there["options"]) == (undo["handle"], options)
    made = Made(tmp_path, target.names, settings, target.address.journaled())
    assert f"deletes the qdisc {undo['handle']} of eth0" in fault.vouch(undo, made)
    with pytest.raises(FaultError, match="already: name another dev"):
        prepared(kind, target, **settings)
    with pytest.raises(FaultError, match="is no handle that chaoskit makes up"):
        fault.vouch({**undo, "handle": "1:"}, made)
    theirs = '[{"kind": "htb", "handle": "1:", "root": true}]'
    fault.stop(undo)
    assert json.loads(qdiscs.read_text())[0]["kind"] == "noqueue"
    qdiscs.write_text(theirs)
    assert "tc shows no netem" in fault.lapse(undo)
    fault.stop(undo)
    assert qdiscs.read_text() == theirs
