"""The part of set-up that needs Python: one at a time, the environment, the packages, the programs; only the stdlib.

pip says either nothing for a minute or hundreds of lines. All of that goes to `.venv/pip.log`; shown is the package at
work: on a terminal in one line that changes, elsewhere a line every ten seconds.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LOG = VENV / "pip.log"
READY = VENV / ".ready"
MADE_FROM = ("pyproject.toml", "requirements.lock", "scripts/setup", "scripts/set_up.py")
_EVERY_S = 10.0
_AT_WORK = re.compile(r"\s*(?:Collecting|Downloading|Building wheel for|Installing) (?P<what>[^\s(]+)")
_UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|Max retries exceeded|name resolution|ProxyError|SSLError|"
    r"Could not fetch URL|Network is unreachable|Connection refused|Connection reset|"
    r"\b(?:403|407|50[234]) (?:Client|Server) Error"
)


class Failed(Exception):
    """Set-up cannot go on; the text is for the person at the terminal."""


def main() -> int:
    """Set up, or wait for another that does; 0 when all is there, 1 with a sentence when not, 130 on Ctrl-C."""
    try:
        # It was started with Ctrl-C ignored, for what it could not answer yet; what it starts itself hears it again.
        signal.signal(signal.SIGINT, _once)
        signal.signal(signal.SIGTERM, _once)
        os.chdir(ROOT)
        with_lock = os.open(ROOT, os.O_RDONLY)
        _take(with_lock)
        if not _ready():
            _environment()
            _packages()
            _programs()
            READY.touch()
    except Failed as failed:
        sys.stderr.write(f"set-up: {failed}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"set-up: {error.filename or ROOT}: {error.strerror}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nset-up: interrupted; the same command goes on from here\n")
        return 130
    return 0


def shown(lines: Iterable[str], *, terminal: bool) -> Iterator[str]:
    """What of pip's lines is shown, and when: the package at work and how many were before it."""
    number, last, before = 0, "", time.monotonic()
    for line in lines:
        found = _AT_WORK.match(line)
        if found is None:
            continue
        number += line.lstrip().startswith("Collecting")
        what = f"packages: {number} looked at, now {found['what']}"
        if terminal and what != last:
            yield f"\r\x1b[2K{what[:78]}"
        elif not terminal and time.monotonic() - before >= _EVERY_S:
            before = time.monotonic()
            yield f"{what}\n"
        last = what
    yield "\r\x1b[2K" if terminal else ""


def why(said: str, code: int) -> str:
    """The sentence for what pip said before it ended with this code."""
    errors = [line.strip() for line in said.splitlines() if line.strip().startswith(("ERROR", "error:"))]
    last = errors[-1] if errors else (said.strip().splitlines() or ["nothing"])[-1].strip()
    unreachable = _UNREACHABLE.search(said)
    if unreachable:
        line = next(one.strip() for one in said.splitlines() if unreachable[0] in one)
        line = re.sub(r"^WARNING: Retrying \(.*?\)\) after ", "", line)
        return (
            f"the package registry cannot be reached: {line[:300]}\n"
            f"See to the network, or to pip's settings ({_python()} -m pip config list), and run the same command "
            f"again; all that pip said is in {LOG.relative_to(ROOT)}"
        )
    return f"pip ended with {code}: {last[:300]} (all that it said is in {LOG.relative_to(ROOT)})"


def _once(number: int, frame: object) -> NoReturn:
    """A terminal and the shell that started this both tell it to end; the second time there is nothing to do."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: None)
    raise KeyboardInterrupt


def _take(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("waiting for another set-up in this folder to end")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _ready() -> bool:
    return READY.exists() and all((ROOT / name).stat().st_mtime <= READY.stat().st_mtime for name in MADE_FROM)


def _environment() -> None:
    """A virtual environment with a pip that runs; one that was left half made is made anew."""
    if _quiet([_python(), "-m", "pip", "--version"]) is None:
        return
    _say("making .venv")
    complaint = _quiet([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if complaint is not None:
        raise Failed(f".venv cannot be made: {complaint}")


def _packages() -> None:
    _say("installing packages, about a minute (pip)")
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--no-color"]
    command = [_python(), "-m", "pip", "install", *options, "--constraint", "requirements.lock", "--editable", ".[dev]"]
    with (
        LOG.open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as pip,
    ):
        assert pip.stdout is not None

        def kept(lines: Iterable[str]) -> Iterator[str]:
            for line in lines:
                log.write(line)
                log.flush()
                yield line

        try:
            for text in shown(kept(pip.stdout), terminal=sys.stdout.isatty()):
                sys.stdout.write(text)
                sys.stdout.flush()
        except KeyboardInterrupt:
            pip.terminate()
            pip.wait()
            raise
    if pip.returncode:
        raise Failed(why(LOG.read_text(errors="replace"), pip.returncode))


def _programs() -> None:
    _say("looking for Prometheus and Alertmanager")
    if subprocess.run([str(VENV / "bin" / "chaoskit"), "doctor", "--install"], check=False).returncode:
        raise Failed(
            "Prometheus and Alertmanager are not there (see above); mend that, then run the same command again"
        )


def _quiet(command: Sequence[str]) -> str | None:
    """None when it went well, else the last line that it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        return str(error.strerror)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return None if done.returncode == 0 else (lines[-1] if lines else f"it ended with {done.returncode}")


def _python() -> str:
    return str(VENV / "bin" / "python")


def _say(text: str) -> None:
    sys.stdout.write(f"set-up: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
