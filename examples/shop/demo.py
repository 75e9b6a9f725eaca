"""Starts and stops the shop: `python examples/shop/demo.py start`, `stop`, `status`.

Everything runs under one supervisord, on loopback, with its data in one folder. The configuration is what lies beside
this file; where one of its ports is taken, another takes its place in the copies that are used.
"""

from __future__ import annotations

import argparse
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import requests

from chaoskit.errors import BadInput
from chaoskit.files import write_private
from chaoskit.host.ports import check_free, reserve
from chaoskit.stack.binaries import Binaries, numbers, require
from chaoskit.waiting import await_true

HERE = Path(__file__).resolve().parent
FOLDER = Path("/var/lib/chaoskit-shop")
PORTS = range(18700, 18709)
_SHOWN = {"API": "18700", "Prometheus": "18707", "Alertmanager": "18708", "pager": "18703"}
_MARK = "chaoskit-shop"
_UP_S, _DOWN_S, _LOOK_S = 50.0, 30.0, 0.5
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PACKAGES = {
    "redis-server": "redis-server",
    "postgres": "postgresql",
    "supervisord": "supervisor",
    "exim4": "exim4-daemon-light",
    "nft": "nftables",
}
_MODULES = ("fastapi", "pybreaker", "redis", "rq", "psycopg")
_VARIABLES = ("SHOP_PYTHON", "SHOP_CODE", "POSTGRES", "PROMETHEUS", "ALERTMANAGER", "ALERTMANAGER_FOLDER")
_TABLES = (
    "CREATE TABLE orders (id serial PRIMARY KEY, what text NOT NULL, shipped timestamptz)",
    "CREATE TABLE order_events (id serial PRIMARY KEY, order_id integer NOT NULL, what text NOT NULL)",
)


def program(name: str) -> str:
    """Where a program of Debian's packages is; empty where it is not installed."""
    found = [*sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    return str(found[-1]) if found else shutil.which(name, path=_PATH) or ""


def missing() -> str:
    """What keeps the shop from being started on this machine, as one sentence; empty where nothing does."""
    packages = [package for name, package in _PACKAGES.items() if not program(name)]
    modules = [name for name in _MODULES if find_spec(name) is None]
    if packages:
        return f"these packages are missing: {' '.join(packages)} (apt-get install {' '.join(packages)})"
    if modules:
        return f"these Python packages are missing: {' '.join(modules)} (pip install -r {HERE / 'requirements.txt'})"
    return "" if os.geteuid() == 0 else "its servers run as users of their own, so root starts it (sudo)"


def render(folder: Path) -> dict[str, str]:
    """Copies the configuration with the ports that are free; says which took whose place."""
    free = _free()

    def copied(file: Path | str) -> str:
        text = (HERE / file).read_text().replace(str(FOLDER), str(folder))
        return re.sub(r"\b187\d\d\b", lambda found: free.get(found[0], found[0]), text)

    for name in ("alerts", "scenarios", "profiles"):
        (folder / name).mkdir()
    files = [one.relative_to(HERE) for name in ("*.conf", "*/*.yml") for one in HERE.glob(name)]
    for file in files:
        (folder / file).write_text(copied(file))
    (folder / "alertmanager.yml").write_text(copied("alerts/alertmanager.yml") + copied("recorder.yml"))
    return free


def _free() -> dict[str, str]:
    wanted = set(PORTS)
    taken = {port for port in wanted if not _free_now(port)}
    others = iter(reserve(len(taken), avoid=wanted))
    return {str(port): str(next(others) if port in taken else port) for port in PORTS}


def _free_now(port: int) -> bool:
    try:
        check_free(port)
    except BadInput:
        return False
    return True


def database(folder: Path, port: str) -> None:
    """A cluster of its own, which only this folder knows of, and the shop's tables."""
    data, password = folder / "postgresql", secrets.token_hex(16)
    own = pwd.getpwnam("postgres")
    data.mkdir(mode=0o700)
    os.chown(data, own.pw_uid, own.pw_gid)

    def run(name: str, *arguments: str) -> None:
        subprocess.run(
            [program(name), *arguments], user="postgres", group=own.pw_gid, cwd=data, check=True, capture_output=True
        )

    run("initdb", "-D", str(data), "--no-sync", "--encoding=UTF8", "--auth-local=trust", "--auth-host=scram-sha-256")
    run("pg_ctl", "-D", str(data), "-w", "-l", str(data / "setup.log"), "-o", f"-k {data} -h '' -p {port} -F", "start")
    try:
        statements = [f"CREATE ROLE shop LOGIN PASSWORD '{password}'", "CREATE DATABASE shop OWNER shop"]
        for statement in statements:
            run("psql", "-X", "-q", "-h", str(data), "-p", port, "-d", "postgres", "-c", statement)
        for statement in _TABLES:
            run("psql", "-X", "-q", "-h", str(data), "-p", port, "-d", "shop", "-U", "shop", "-c", statement)
    finally:
        run("pg_ctl", "-D", str(data), "-w", "-m", "fast", "stop")
    (folder / "secrets").mkdir(mode=0o700)
    write_private(folder / "secrets" / "dsn", f"postgresql://shop:{password}@127.0.0.1:{port}/shop\n".encode())


def newest() -> Binaries | None:
    """Prometheus and Alertmanager of the first generation here whose Alertmanager has an event recorder."""
    for generation in ("", "sid"):
        try:
            found = require(generation) if generation else require()
        except BadInput:
            continue
        if numbers(found.versions["alertmanager"]) >= (0, 33):
            return found
    return None


def start(folder: Path) -> int:
    """Starts it anew and waits until Prometheus has seen all of it well; 0, or 2 where it cannot be started."""
    begun = time.monotonic()
    if why := missing():
        return _say(f"the shop cannot be started here: {why}", 2)
    if folder.exists() and not (folder / _MARK).exists():
        return _say(f"{folder} is not the shop's, so it is left alone; name another one with --at FOLDER", 2)
    if running(folder):
        return _say(f"the shop runs already, in {folder}; `{sys.argv[0]} stop` ends it", 2)
    programs = newest()
    if programs is None:
        return _say("the shop needs Alertmanager 0.33 or later, which records what it delivers: make generations", 2)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755, parents=True)
    (folder / _MARK).touch()
    ports = render(folder)
    mails = pwd.getpwnam("Debian-exim")
    for name in ("log", "metrics", "uploads", "mail", "spool"):
        (folder / name).mkdir()
    for name in ("mail/team", "mail/on-call"):
        for part in ("", "tmp", "new", "cur"):
            (folder / name / part).mkdir(exist_ok=True)
    for each in (folder / "mail", *(folder / "mail").rglob("*"), folder / "spool", folder / "log"):
        os.chown(each, mails.pw_uid, mails.pw_gid)
    database(folder, ports["18705"])
    alertmanager, root = programs.alertmanager, programs.alertmanager.parents[2]  # where its templates are
    values = (sys.executable, HERE, program("postgres"), programs.prometheus, alertmanager, root)
    environment = {"PATH": _PATH, **dict(zip(_VARIABLES, map(str, values), strict=True))}
    subprocess.run([program("supervisord"), "-c", str(folder / "supervisord.conf")], env=environment, check=True)
    if not await_true(lambda: not unready(ports), _UP_S, _LOOK_S) and (lacking := unready(ports)):
        stop(folder)
        return _say(f"the shop did not come up within {_UP_S:g} s: {lacking}; see {folder}/log", 3)
    took, at = time.monotonic() - begun, {name: f"http://127.0.0.1:{ports[port]}" for name, port in _SHOWN.items()}
    return _say(f"the shop runs after {took:.0f} s: {', '.join(f'{name} {url}' for name, url in at.items())}", 0)


def unready(ports: dict[str, str]) -> str:
    """What Prometheus does not show yet; empty where all of the shop is well."""
    api = f"http://127.0.0.1:{ports['18707']}/api/v1"
    wanted = {
        "shop_api_up == 1": 1,
        "shop_worker_up == 1": 3,
        "sum(rate(shop_payments_total{result='paid'}[15s])) > 0": 1,
    }
    try:
        for query, count in wanted.items():
            answer = requests.get(f"{api}/query", params={"query": query}, timeout=2).json()
            if len(answer.get("data", {}).get("result", ())) < count:
                return f"Prometheus does not see {query}"
        known = requests.get(f"{api}/alertmanagers", timeout=2).json()["data"]["activeAlertmanagers"]
    except (requests.RequestException, ValueError):
        return "Prometheus gives no answer"
    return "" if known else "Prometheus knows no Alertmanager"


def running(folder: Path) -> bool:
    """Whether its supervisord lives."""
    try:
        pid = int((folder / "supervisord.pid").read_text())
        return str(folder / "supervisord.conf") in Path(f"/proc/{pid}/cmdline").read_text()
    except (OSError, ValueError):
        return False


def supervisorctl(folder: Path, *words: str) -> str:
    """What supervisord's own client says."""
    command = [program("supervisorctl"), "-c", str(folder / "supervisord.conf"), *words]
    # It wants every variable of the file, and uses none of them; a folder must be one.
    environment = {"PATH": _PATH, **dict.fromkeys(_VARIABLES, "-"), "ALERTMANAGER_FOLDER": "/"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def stop(folder: Path) -> int:
    """Ends all of it and waits until it is gone; its folder stays. 0, or 5 where something lives."""
    if not running(folder):
        return _say(f"no shop runs in {folder}", 0)
    supervisorctl(folder, "shutdown")
    if not await_true(lambda: not running(folder), _DOWN_S, _LOOK_S):
        return _say(f"the shop in {folder} does not end; see {folder}/log/supervisord.log", 5)
    return _say("the shop is stopped", 0)


def _say(text: str, code: int) -> int:
    (sys.stderr if code else sys.stdout).write(text + "\n")
    return code


def main() -> int:
    """Does what the first word says."""
    parser = argparse.ArgumentParser(description="A small shop to be tested: start it, stop it.")
    parser.add_argument("what", choices=("start", "stop", "status"))
    parser.add_argument("--at", type=Path, default=FOLDER, help=f"folder of its data (default: {FOLDER})")
    asked = parser.parse_args()
    folder = asked.at.absolute()
    if asked.what == "status":
        return _say(supervisorctl(folder, "status").rstrip(), 0)
    return {"start": start, "stop": stop}[asked.what](folder)


if __name__ == "__main__":
    sys.exit(main())
