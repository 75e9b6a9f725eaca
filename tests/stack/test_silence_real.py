"""alertmanager.silence at real Alertmanagers: active and shown, expired and seen to be, from the token alone."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from chaoskit.faults.base import FaultError, Lapsed, Made, Target
from chaoskit.faults.registry import known
from chaoskit.handles.equipment import EquipmentAddress
from chaoskit.stack.binaries import Binaries, require
from tests.stack.test_routing_real import alertmanager, eventually, get, post

pytestmark = [pytest.mark.stack, pytest.mark.outermost]
ALONE = "route: {receiver: a, group_wait: 1h}\nreceivers: [{name: a}]\n"


def target(url: str, **more: Any) -> Target:
    at = {"url": url, **more}
    return Target("equipment:alertmanager", ("alertmanager",), EquipmentAddress(run="r-1", max_s=60, alertmanager=at))


def silenced(api: str) -> dict[str, list[str]]:
    return {each["labels"]["alertname"]: each["status"]["silencedBy"] for each in get(f"{api}/alerts")}


def test_a_silence_mutes_what_it_matches_until_it_is_taken_back(generation: Binaries, tmp_path: Path) -> None:
    kind: Any = known()["alertmanager.silence"]
    with alertmanager(generation, tmp_path, ALONE) as api:
        url = api.removesuffix("/api/v2")
        post(api, [{"alertname": "A", "team": "db"}, {"alertname": "B", "team": "web"}, {"alertname": "C"}])
        undo = kind.prepare(target(url), kind.settings(matchers='alertname!=B,team=~"db|web"'))
        assert get(f"{api}/silences") == []
        seen = kind.start(undo)
        eventually(lambda: bool(silenced(api)["A"]))
        assert silenced(api) == {"A": [seen.detail.removeprefix("silence ")], "B": [], "C": []}
        (one,) = get(f"{api}/silences")
        assert one["comment"] == undo["comment"]
        assert undo["comment"].startswith("chaoskit run r-1 (")
        assert kind.lapse(undo) == ""
        kind.stop(undo)
        assert [each["status"]["state"] for each in get(f"{api}/silences")] == ["expired"]
        assert silenced(api)["A"] == []
        kind.stop(undo)
        with pytest.raises(Lapsed, match="had ended"):
            kind.hold(undo, threading.Event())


def test_a_silence_ends_by_itself_and_without_its_alertmanager_there_is_no_undo(tmp_path: Path) -> None:
    kind: Any = known()["alertmanager.silence"]
    with alertmanager(require(), tmp_path, ALONE) as api:
        url = api.removesuffix("/api/v2")
        undo = kind.prepare(target(url), kind.settings(matchers="alertname=A", duration="1s"))
        kind.start(undo)
        eventually(lambda: bool(kind.lapse(undo)))
        assert "had ended" in kind.lapse(undo)
    with pytest.raises(FaultError, match="gives no answer"):
        kind.stop(undo)
    with subprocess.Popen(["sleep", "60"]) as owner:
        ours = kind.prepare(target(url, owner=owner.pid), kind.settings(matchers="alertname=A"))
        with pytest.raises(FaultError, match="gives no answer"):  # its owner lives, so it may come back
            kind.stop(ours)
        owner.kill()
    assert "ended with the run" in kind.stop(ours).detail
    made = Made(tmp_path, ("alertmanager",), {}, {"alertmanager": url})
    assert f"at {url}" in kind.vouch(undo, made)
    with pytest.raises(FaultError):
        kind.vouch(undo, Made(tmp_path, ("alertmanager",), {}, {"alertmanager": "http://127.0.0.1:1"}))
    with pytest.raises(FaultError):
        kind.vouch({**undo, "comment": "maintenance"}, made)
