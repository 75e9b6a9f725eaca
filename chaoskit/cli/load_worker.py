"""`chaoskit load-worker`: this process becomes a worker of load, for a run that is elsewhere."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import sys
from pathlib import Path

import click

from chaoskit.access import read_token
from chaoskit.cli.numbers import Number
from chaoskit.errors import ExitCode
from chaoskit.load.model import LONG_TOKEN
from chaoskit.load.processes import without_locusts
from chaoskit.scenario.model import WORKERS_PORT

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"


def _host(text: str) -> str:
    """The name or the IP address of a machine; a usage error for any other text."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(text))
    if re.fullmatch(rf"{_LABEL}(\.{_LABEL})*\.?", text) is None:
        raise click.BadParameter(f"'{text}' is no host: write a name or an IP address; its port is --port")
    return text


@click.command("load-worker")
@click.option("--master", type=_host, required=True, metavar="HOST", help="The address that the run's profile binds.")
@click.option("--port", type=click.IntRange(1, 65535), default=WORKERS_PORT, show_default=True, help="Its port.")
@click.option(
    "--token-file", required=True, type=click.Path(path_type=Path), metavar="FILE", help="File of the run's token."
)
@click.option("--wait", "wait_s", type=Number(1, 86400), default=600.0, show_default=True, help="Seconds for a share.")
@click.option("--again", is_flag=True, help="Wait for the share of the next run after each, until Ctrl-C.")
def load_worker_command(master: str, port: int, token_file: Path, wait_s: float, again: bool) -> ExitCode:
    """Bear a share of a run's load, and end with it; the run's profile says `load: {workers: …}`.

    Exit 0: its share was counted to the end. 2: the token cannot be used, or the versions differ. 3: no share came in
    time, or it broke off.
    """
    read_token(token_file, LONG_TOKEN, private=True)
    # Locust patches the whole process when it is imported, so this one is left for a new program.
    argv = [sys.executable, "-m", "chaoskit.load.worker", master, str(port), str(token_file), f"{wait_s:g}"]
    argv += ["again"] * again
    os.execve(sys.executable, argv, without_locusts(os.environ))
