"""systemctl and systemd-run for tests, which behave as documented: states, MainPID, stop, start, a transient timer.

Units are files of one folder; their processes are real ones.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

PROGRAM = r"""
import json, os, signal, subprocess, sys, time
from fnmatch import fnmatchcase
from pathlib import Path

at = Path(UNITS)
words = sys.argv[1:]
options = [one for one in words if one.startswith("--") and one != "--"]
rest = [one for one in words if not one.startswith("--") or one == "--"]


def unit(name):
    file = at / name
    return json.loads(file.read_text()) if file.exists() else None


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def save(name, told):
    (at / f".{name}").write_text(json.dumps(told))
    (at / f".{name}").rename(at / name)


def start(name):
    told = unit(name) or sys.exit(f"Failed to start {name}: Unit {name} not found.")
    if told["ActiveState"] == "active" and alive(told["MainPID"]):
        return
    nothing = subprocess.DEVNULL
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdout=nothing, stderr=nothing)
    save(name, {**told, "ActiveState": "active", "SubState": "running", "MainPID": child.pid})


def stop(name):
    told = unit(name) or sys.exit(f"Failed to stop {name}: Unit {name} not loaded.")
    if name.endswith(".timer"):
        (at / name).unlink()
        return
    save(name, {**told, "ActiveState": "inactive", "SubState": "dead", "MainPID": 0})
    if told["MainPID"] and alive(told["MainPID"]):
        os.kill(told["MainPID"], signal.SIGCONT)
        os.kill(told["MainPID"], signal.SIGKILL)


if Path(sys.argv[0]).name == "systemd-run":
    name = next(one for one in options if one.startswith("--unit=")).partition("=")[2] + ".timer"
    seconds = next(one for one in options if one.startswith("--on-active=")).partition("=")[2]
    save(name, {"ActiveState": "active", "LoadState": "loaded", "in": seconds, "does": rest})
elif rest[0] == "show":
    name = rest[-1]
    none = {"LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead", "MainPID": 0, "Restart": "no"}
    told = unit(name) or none
    if told.get("MainPID") and not alive(told["MainPID"]) and told["ActiveState"] == "active":
        if told["Restart"] == "always":
            save(name, {**told, "ActiveState": "inactive", "MainPID": 0})
            start(name)
            told = unit(name)
        else:
            told |= {"ActiveState": "failed", "SubState": "failed", "MainPID": 0}
    keys = next(one for one in options if one.startswith("--property=")).partition("=")[2].split(",")
    for key in keys:
        print(told[key] if "--value" in options else f"{key}={told[key]}")
elif rest[0] == "list-units":
    for file in sorted(at.iterdir()):
        if fnmatchcase(file.name, rest[1]) and not file.name.startswith("."):
            print(f"{file.name} loaded active running a unit")
else:
    for name in rest[2:]:
        {"start": start, "stop": stop}[rest[0]](name)
"""


def install(folder: Path) -> tuple[Path, Path]:
    """The folder of both programs, to be put before PATH, and the one of their units."""
    programs, units = folder / "bin", folder / "units"
    for one in (programs, units):
        one.mkdir()
    for name in ("systemctl", "systemd-run"):
        (programs / name).write_text(f"#!{sys.executable}\nUNITS = {str(units)!r}\n{PROGRAM}")
        (programs / name).chmod(0o755)
    return programs, units


def load(units: Path, name: str) -> None:
    """A service that is loaded and down, and that each kill would restart."""
    told = {"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead", "MainPID": 0, "Restart": "always"}
    (units / f"{name}.service").write_text(json.dumps(told))


def end(units: Path) -> None:
    """Ends the services' processes."""
    for file in units.glob("*.service"):
        if pid := json.loads(file.read_text())["MainPID"]:
            os.kill(pid, signal.SIGKILL)
