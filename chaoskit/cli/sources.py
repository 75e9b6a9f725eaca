"""Options of several commands: whose alert configuration it is about and how it is read, what of a run is planned."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import click

from chaoskit import bundle as shipped
from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import AlertConfig
from chaoskit.cli.numbers import TIME_SCALE
from chaoskit.errors import BadInput, Problem
from chaoskit.report.text import paragraph
from chaoskit.run.planning import Asked
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.model import Scenario
from chaoskit.stack.binaries import Tool, numbers
from chaoskit.stack.original import checkers
from chaoskit.yaml_source import nearest

R = TypeVar("R")

FILE = click.Path(path_type=Path)


def together(
    name: str, make: Callable[..., Any], *options: Callable[[Any], Any]
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Adds these options to a command, whose argument `name` is what `make` makes of their values."""
    wanted = tuple(signature(make).parameters)

    def with_options(command: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(command)
        def with_made(**given: Any) -> R:
            made = make(**{each: given.pop(each) for each in wanted})
            return command(**{name: made}, **given)

        for option in reversed(options):
            with_made = option(with_made)
        return with_made

    return with_options


config_options = together(
    "files",
    ConfigFiles,
    click.option("--bundle", type=FILE, help="A folder laid out like the shipped alert configuration."),
    click.option("--rules", multiple=True, metavar="GLOB", help="Rule files or PrometheusRule manifests; repeatable."),
    click.option("--alertmanager", type=FILE, metavar="FILE", help="The Alertmanager configuration."),
    click.option("--prometheus", type=FILE, metavar="FILE", help="The Prometheus configuration."),
    click.option("--promise", type=FILE, metavar="FILE", help="The promise: which receivers are told, and when."),
    click.option("--template", "templates", multiple=True, metavar="GLOB", help="Notification templates; repeatable."),
)
"""Adds an option for each of ConfigFiles; the command's `files` are what they say, false where that is nothing."""

_SERVERS = ("prometheus", "alertmanager")
yours_option = click.option(
    "--yours",
    multiple=True,
    metavar="NAME=VERSION",
    callback=lambda context, option, given: versions_of(given),
    help="Version of your server, as alertmanager=0.33; repeatable.",
)
"""Adds --yours; the command's `yours` are the versions that it names, by server."""

approved_option = click.option(
    "--approved", type=FILE, metavar="DIR", help="Approved answers and texts; default: approved, beside the promise."
)


def approved_folder(files: ConfigFiles) -> Path:
    """The folder of what was approved beside these files, or beside the shipped ones where none are named."""
    return or_shipped(files).approved


def or_shipped(files: ConfigFiles) -> ConfigFiles:
    """The files that the options name; the shipped ones where they name nothing."""
    return files or ConfigFiles(shipped.folder())


def readable(paths: Iterable[Path]) -> Iterator[Scenario]:
    """The scenarios in these files that can be read; each problem of another is told on standard error."""
    for path in paths:
        try:
            yield load_scenario_file(path)
        except BadInput as error:
            for problem in error.problems:
                click.echo(f"left out, cannot be read: {paragraph(str(problem))}", err=True)


def unknown(what: str, names: Iterable[str], known: Collection[str], hint: str = "") -> list[Problem]:
    """A problem for each unknown name, with the nearest one or the hint; `what` as in `--only: no operator`."""
    return [
        Problem(None, f"{what} is called '{name}'", nearest(name, known) or hint) for name in names if name not in known
    ]


def unknown_alerts(config: AlertConfig, names: Iterable[str]) -> list[Problem]:
    """A problem for each name that no alerting rule has."""
    return unknown("--alert: no alerting rule", names, {rule.alert for rule in config.rules if rule.alert})


def known_alerts(config: AlertConfig, names: tuple[str, ...]) -> tuple[str, ...]:
    """The alert names as given; raises BadInput with each name that no alerting rule has."""
    if problems := unknown_alerts(config, names):
        raise BadInput(problems)
    return names


def programs_of(yours: Mapping[str, str], *needed: str) -> dict[str, Tool]:
    """promtool and amtool, as far as installed, for these versions; raises BadInput for each needed one that is not."""
    tools = checkers(yours)
    if missing := [name for name in needed if name not in tools]:
        hint = "chaoskit doctor --install fetches it"
        raise BadInput(Problem(None, f"{name} was not found", hint) for name in missing)
    return tools


def versions_of(yours: Iterable[str]) -> dict[str, str]:
    """The user's versions by server (prometheus, alertmanager), as --yours names them; raises BadInput."""
    found = dict(each.partition("=")[::2] for each in yours)
    wrong = [f"{n}={v}" for n, v in found.items() if n not in _SERVERS or not numbers(v)]
    if wrong:
        raise BadInput(Problem(None, f"--yours: '{each}' is no version", "as alertmanager=0.33") for each in wrong)
    return found


PROFILE = click.option("--profile", default="local", show_default=True, help="The profile: a name or a file.")


def _asked(
    profile: str,
    time_scale: float | None,
    settings: tuple[str, ...],
    seed: int,
    files: ConfigFiles,
    yours: Mapping[str, str],
) -> Asked:
    return Asked("", profile, or_shipped(files), settings, time_scale, seed, yours=yours)


asking = together(
    "asked",
    _asked,
    PROFILE,
    click.option("--time-scale", type=TIME_SCALE, help="Virtual seconds per real second; 1 is real time."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Override a key, as load.rate=20/s."),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of the choice among equal targets."),
    config_options,
    yours_option,
)
"""Adds the options of a run to a command; its `asked` holds their values, of no scenario yet."""
