"""The real Prometheus and Alertmanager as children on loopback: checked first, started, awaited until they serve.

They get an environment without proxies and without cloud credentials, so that a notification cannot take a way
that its configuration does not name. Their logs are kept, shown when something fails, and never parsed: they
differ between versions.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from chaoskit.access import plain_session
from chaoskit.errors import BadInput, EquipmentError, Place, Problem
from chaoskit.host.ports import LOOPBACK, check_free
from chaoskit.host.process import Child, run, spawn, wait_until
from chaoskit.stack.binaries import Binaries

_READY_S = 30.0
_CHECK_S = 60.0
_GOGC = "400"
"""By how many percent Prometheus's memory may grow until it is tidied up: a seventh of its processor time at 100, its
default, goes there, and it has 30 MB."""
_UNWANTED = re.compile(r".*_proxy|aws_.*|gomaxprocs", re.IGNORECASE)
_NOISE = re.compile(r"SUCCESS.*|Found:|- .*|amtool: error: .*|yaml: unmarshal errors:|")
_CHECKING = re.compile(r"Checking '?(?P<file>.*?)'?(?:  (?P<rest>(?:FAILED|SUCCESS).*))?")
_CHECKED = re.compile(r"^(?=Checking ')", re.MULTILINE)
"""Where amtool begins with a file."""
_WITH_LINE = (
    re.compile(r"(?P<line>\d+):\d+: (?P<message>.*)"),
    re.compile(r"(?:yaml: )?line (?P<line>\d+): (?P<message>.*)"),
    re.compile(r"template: (?P<file>[^:]+):(?P<line>\d+): (?P<message>.*)"),
)


def contained_environment() -> dict[str, str]:
    """The environment without what could lead a connection elsewhere: proxies, cloud profiles and credentials."""
    # What the AWS client (SNS) would otherwise ask: files in the home folder, a metadata service on the network.
    return {
        **{name: value for name, value in os.environ.items() if not _UNWANTED.fullmatch(name)},
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def start_prometheus(
    binaries: Binaries,
    config_file: Path,
    data_dir: Path,
    port: int,
    log: Path,
    *,
    flags: Sequence[str] = (),
) -> Child:
    """Start Prometheus on 127.0.0.1 and wait until it is ready; `flags` are further ones of its command line.

    Ready means that it evaluates and answers, not that it has scraped: see `await_discovery`. Raises BadInput for
    a bad configuration or a taken port, EquipmentError (with the end of the log) when it does not come up.
    """
    _refuse(check_prometheus(binaries.promtool, config_file))
    argv: list[str | Path] = [
        binaries.prometheus,
        f"--config.file={config_file.absolute()}",
        f"--storage.tsdb.path={data_dir.absolute()}",
        f"--web.listen-address={LOOPBACK}:{port}",
        # By default a web page of anywhere, in a browser of this machine, may read its answers.
        "--web.cors.origin=none",
        # What is written lives for minutes: to pack it costs more processor time than it saves anything.
        "--no-storage.tsdb.wal-compression",
        *flags,
    ]
    return _start("Prometheus", argv, data_dir, port, log, env={"GOGC": _GOGC})


def start_alertmanager(
    binaries: Binaries,
    config_file: Path,
    data_dir: Path,
    port: int,
    log: Path,
    *,
    flags: Sequence[str] = (),
) -> Child:
    """Start Alertmanager on 127.0.0.1, alone, and wait until it is ready; raises like `start_prometheus`.

    With a cluster address it would wait 10 s for peers before its first notification, so it gets none. It runs in
    the folder that its package was unpacked to, where a relocated copy looks for its default templates.
    """
    _refuse(check_alertmanager(binaries.amtool, config_file))
    argv: list[str | Path] = [
        binaries.alertmanager,
        f"--config.file={config_file.absolute()}",
        f"--storage.path={data_dir.absolute()}",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--cluster.listen-address=",
        *flags,
    ]
    return _start("Alertmanager", argv, data_dir, port, log, cwd=package_root(binaries.alertmanager))


def await_discovery(
    prometheus_url: str,
    *,
    timeout_s: float = 30.0,
    session: requests.Session | None = None,
    jobs: Collection[str] | None = None,
) -> None:
    """Wait until every target is up after a scrape, and an Alertmanager is active.

    `session` carries the login of a Prometheus that demands one; with `jobs`, only their targets count.

    Prometheus publishes what it discovers on a ticker of 5 s, and drops alerts that fire before it knows of an
    Alertmanager: no fault may start earlier. Raises EquipmentError that names what is still missing.
    """
    missing = ["no answer from Prometheus"]

    def complete() -> bool:
        missing[:] = undiscovered(prometheus_url, session, jobs)
        return not missing

    wait_until(complete, timeout_s=timeout_s, what=lambda: "still " + "; ".join(missing))


def check_rules(promtool: Path, files: Sequence[Path]) -> tuple[Problem, ...]:
    """The problems that promtool finds in rule files, with the line where it tells one; empty when they are valid."""
    return _check([promtool, "check", "rules", "--lint=none", *files], files[0]) if files else ()


def check_syntax(promtool: Path, file: Path) -> tuple[Problem, ...]:
    """The problems that promtool finds in a Prometheus configuration alone, wherever the files are that it names."""
    return _check([promtool, "check", "config", "--lint=none", "--syntax-only", file], file)


def check_prometheus(promtool: Path, file: Path) -> tuple[Problem, ...]:
    """The problems that promtool finds in a Prometheus configuration and the rule files that it names."""
    return _check([promtool, "check", "config", "--lint=none", file], file)


def check_alertmanager(amtool: Path, file: Path) -> tuple[Problem, ...]:
    """The problems that amtool finds in an Alertmanager configuration and the templates that it names."""
    return _check([amtool, "check-config", file], file)


def check_alertmanagers(amtool: Path, files: Sequence[Path]) -> list[tuple[Problem, ...]]:
    """For each Alertmanager configuration what `check_alertmanager` gives, of one call for all."""
    said = _CHECKED.split(answer_of([amtool, "check-config", *files])[1])[1:]
    if len(said) != len(files):
        return [check_alertmanager(amtool, file) for file in files]
    return [_problems(text, file) if "FAILED" in text else () for file, text in zip(files, said, strict=True)]


def _start(
    name: str,
    argv: Sequence[str | Path],
    data_dir: Path,
    port: int,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Child:
    """Starts the program; the user's own environment goes before `env`."""
    check_free(port)
    data_dir.mkdir(parents=True, exist_ok=True)
    child = spawn(argv, name=name, log=log, env={**(env or {}), **contained_environment()}, cwd=cwd)
    url = f"http://{LOOPBACK}:{port}/-/ready"
    try:
        wait_until(lambda: _get(url) is not None, timeout_s=_READY_S, what=f"{url} answers", child=child)
    except BaseException:
        child.stop()
        raise
    return child


def package_root(program: Path) -> Path | None:
    """The folder above `usr/bin/PROGRAM`, where Alertmanager's templates lie below it."""
    above = program.absolute().parents
    templates = Path("usr/share/prometheus/alertmanager/default.tmpl")
    return above[2] if len(above) > 2 and (above[2] / templates).is_file() else None


def _get(url: str, session: requests.Session | None = None) -> requests.Response | None:
    """The answer, if it is a success; environment proxies are not used, for everything is on loopback."""
    with contextlib.nullcontext(session) if session is not None else plain_session() as asking:
        try:
            response = asking.get(url, timeout=2)
        except requests.RequestException:
            return None
        return response if response.ok else None


def undiscovered(prometheus_url: str, session: requests.Session | None, jobs: Collection[str] | None) -> list[str]:
    """The targets and Alertmanagers that Prometheus does not know yet, in words; empty when it knows all."""
    answers: dict[str, Any] = {}
    for what in ("targets?state=active", "alertmanagers"):
        response = _get(f"{prometheus_url.rstrip('/')}/api/v1/{what}", session)
        if response is None:
            return ["no answer from Prometheus"]
        with contextlib.suppress(ValueError, KeyError, TypeError):  # what is no answer lacks all that is looked for
            answers |= response.json()["data"]
    try:
        active = [one for one in answers["activeTargets"] if jobs is None or one["labels"].get("job") in jobs]
        missing = [
            f"target {target['scrapeUrl']} is {target['health']} {target.get('lastError', '')}".rstrip()
            for target in active
            if target["health"] != "up"
        ]
        managers = answers["activeAlertmanagers"]
    except (KeyError, TypeError, AttributeError):
        return ["the server does not list its targets as Prometheus does"]
    if not active:
        missing.append("0 of 1 targets are known")
    if not managers:
        missing.append("no Alertmanager is active")
    return missing


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise BadInput(problems)


def answer_of(argv: Sequence[str | Path]) -> tuple[int, str]:
    """Exit code and output of promtool or amtool; raises EquipmentError where it cannot be run, or takes too long."""
    try:
        done = run(argv, _CHECK_S, together=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EquipmentError(Path(argv[0]).name, f"{error}") from None
    return done.returncode, done.stdout


def _check(argv: Sequence[str | Path], file: Path) -> tuple[Problem, ...]:
    code, said = answer_of(argv)
    return () if code == 0 else _problems(said or f"{argv[0]} failed with {code}", file)


def _problems(said: str, file: Path) -> tuple[Problem, ...]:
    """The complaints about a file, or all that was said where it holds none."""
    return tuple(dict.fromkeys(_complaints(said, str(file)))) or (Problem(Place(str(file)), said.strip()),)


def _complaints(said: str, file: str) -> Iterator[Problem]:
    """One problem for each complaint of promtool or amtool; both say `Checking FILE` before those about it."""
    for line in said.splitlines():
        checking = _CHECKING.fullmatch(line)
        if checking:
            file = checking["file"]
            line = checking["rest"] or ""
        text = line.strip().removeprefix("FAILED:").strip()
        text = text.removeprefix(f"parsing YAML file {file}: ").removeprefix(f"{file}: ")
        if not _NOISE.fullmatch(text):
            yield _with_line(text, file)


def _with_line(text: str, file: str) -> Problem:
    for pattern in _WITH_LINE:
        match = pattern.fullmatch(text)
        if match:
            named = match.groupdict().get("file") or file
            return Problem(Place(named, int(match["line"])), match["message"])
    return Problem(Place(file), text)
