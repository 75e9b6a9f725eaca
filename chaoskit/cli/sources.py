"""The options that several commands have: whose alert configuration it is about, and what of a run is planned."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from chaoskit import bundle as shipped
from chaoskit.alerting.config import load_config
from chaoskit.alerting.model import AlertConfig
from chaoskit.cli.numbers import TIME_SCALE
from chaoskit.errors import BadInput, ExitCode, Problem
from chaoskit.run.planning import Asked
from chaoskit.stack.binaries import numbers

R = TypeVar("R")

FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--bundle", type=FILE, help="A folder laid out like the shipped alert configuration."),
    click.option("--rules", multiple=True, metavar="GLOB", help="Rule files or PrometheusRule manifests; repeatable."),
    click.option("--alertmanager", type=FILE, metavar="FILE", help="The Alertmanager configuration."),
    click.option("--prometheus", type=FILE, metavar="FILE", help="The Prometheus configuration."),
    click.option("--promise", type=FILE, metavar="FILE", help="The promise: who hears of what, and when."),
)
_SERVERS = ("prometheus", "alertmanager")
yours_option = click.option(
    "--yours",
    multiple=True,
    metavar="NAME=VERSION",
    help="Version of your server, as alertmanager=0.33; repeatable.",
)
"""Adds --yours, for `versions_of`."""


def config_options(command: Callable[..., R]) -> Callable[..., R]:
    """Adds --bundle, --rules, --alertmanager, --prometheus and --promise; the command's `files` are what they say."""

    @functools.wraps(command)
    def with_files(*, bundle: Any, rules: Any, alertmanager: Any, prometheus: Any, promise: Any, **more: Any) -> R:
        files = {"bundle": bundle, "rules": rules, "alertmanager": alertmanager, "prometheus": prometheus}
        return command(files={**files, "promise": promise}, **more)

    for option in reversed(_OPTIONS):
        with_files = option(with_files)
    return with_files


def load_files(files: dict[str, Any]) -> AlertConfig:
    """The configuration that the options name; the shipped one where they name nothing."""
    return load_config(**(files if any(files.values()) else {"bundle": shipped.folder()}))


def versions_of(yours: Iterable[str]) -> dict[str, str]:
    """The user's versions by server (prometheus, alertmanager), as --yours names them; raises BadInput."""
    found = dict(each.partition("=")[::2] for each in yours)
    wrong = [f"{n}={v}" for n, v in found.items() if n not in _SERVERS or not numbers(v)]
    if wrong:
        raise BadInput(Problem(None, f"--yours: '{each}' is no version", "as alertmanager=0.33") for each in wrong)
    return found


PROFILE = click.option("--profile", default="local", show_default=True, help="Where and how hard: a name or a file.")
_FOLDER = click.Path(path_type=Path, file_okay=False)
_LIKE_OURS = "A folder laid out like the shipped alert configuration."
BUNDLE = click.option("--bundle", "folder", type=_FOLDER, help=_LIKE_OURS)
_PLANNING = (
    PROFILE,
    click.option("--time-scale", type=TIME_SCALE, help="Virtual seconds per real second; 1 is real time."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key, as load.rate=20/s."),
    click.option("--seed", type=int, default=0, show_default=True, help="Chooses among equal targets, reproducibly."),
    BUNDLE,
    yours_option,
)


def asking(command: Callable[..., ExitCode]) -> Callable[..., ExitCode]:
    """Adds those options; the command's `asked` is what they say, of no scenario yet."""

    @functools.wraps(command)
    def with_asked(
        *, profile: str, time_scale: float | None, settings: tuple[str, ...], seed: int, folder: Path | None,
        yours: tuple[str, ...], **more: Any,
    ) -> ExitCode:  # fmt: skip
        used = folder or shipped.folder()
        return command(asked=Asked("", profile, used, settings, time_scale, seed, yours=versions_of(yours)), **more)

    for option in reversed(_PLANNING):
        with_asked = option(with_asked)
    return with_asked
