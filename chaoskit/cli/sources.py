"""Whose alert configuration a command is about: the options that say so, and the loader behind them.

The one idea: any part may be missing. A team that shows only its rule files gets them read, and whoever uses
the result asks `given` before it judges what was not shown. Without any option it is the shipped configuration.
Files are named in places and in `sources` as a reader standing here can open them.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from chaoskit import bundle as shipped
from chaoskit.alerting.config import (
    ALERTMANAGER_NAMES,
    PROMETHEUS_NAMES,
    PROMISE_NAMES,
    files_named,
    leave_unread,
    templates_named,
    unread_text,
)
from chaoskit.alerting.config_alertmanager import (
    GROUP_INTERVAL_S,
    GROUP_WAIT_S,
    REPEAT_INTERVAL_S,
    AlertmanagerFile,
    read_alertmanager,
)
from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.config_secrets import marked, unmarked
from chaoskit.alerting.manifests import rule_texts
from chaoskit.alerting.model import AlertConfig, Promise, Route
from chaoskit.alerting.prometheus_config import ASSUMED_INTERVAL_S, PrometheusFile, read_prometheus
from chaoskit.alerting.promise import NO_PROMISE, read_promise
from chaoskit.alerting.rules import read_rules
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.stack.binaries import numbers
from chaoskit.yaml_source import read_text

P = ParamSpec("P")
R = TypeVar("R")

_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--bundle", type=_FILE, help="A folder laid out like the shipped alert configuration."),
    click.option("--rules", multiple=True, metavar="GLOB", help="Rule files or PrometheusRule manifests; repeatable."),
    click.option("--alertmanager", type=_FILE, metavar="FILE", help="The Alertmanager configuration."),
    click.option("--prometheus", type=_FILE, metavar="FILE", help="The Prometheus configuration."),
    click.option("--promise", type=_FILE, metavar="FILE", help="The promise: who hears of what, and when."),
)
_SERVERS = ("prometheus", "alertmanager")
yours_option = click.option(
    "--yours",
    multiple=True,
    metavar="NAME=VERSION",
    help="Version of your server, as alertmanager=0.33; repeatable.",
)
"""Adds --yours, for `versions_of`."""
_NO_PROMETHEUS = PrometheusFile((), ASSUMED_INTERVAL_S, 0.0, {}, (), ())
_NO_ROUTE = Route((), "", (), GROUP_WAIT_S, GROUP_INTERVAL_S, REPEAT_INTERVAL_S, (), False, (), Place(""))

_NO_ALERTMANAGER = AlertmanagerFile(_NO_ROUTE, {}, (), ())


def config_options(command: Callable[P, R]) -> Callable[P, R]:
    """Adds --bundle, --rules, --alertmanager, --prometheus and --promise, the arguments of `load_config`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_config(
    bundle: Path | None = None,
    rules: Iterable[str] = (),
    alertmanager: Path | None = None,
    prometheus: Path | None = None,
    promise: Path | None = None,
    templates: Sequence[Path] = (),
    *,
    needs_jobs: bool = True,
) -> AlertConfig:
    """The configuration that these options name; the shipped one where they name nothing.

    A file beside `bundle` takes the place of the folder's own; `rules` replaces the files that the Prometheus
    configuration names, `templates` those of Alertmanager's. What is neither given nor found is empty: ask `given`. A
    promise may speak of alerts and receivers that the configuration lacks; without `needs_jobs` nothing need be
    scraped. Raises BadInput with every problem.
    """
    patterns = tuple(rules)
    if bundle is None and not (patterns or alertmanager or prometheus or promise):
        bundle = shipped.folder()
    reading = Reading()
    if bundle is not None:
        prometheus = prometheus or _first(bundle, PROMETHEUS_NAMES)
        alertmanager = alertmanager or _first(bundle, ALERTMANAGER_NAMES)
        promise = promise or _first(bundle, PROMISE_NAMES)
        if not bundle.is_dir():
            reading.say(Place(str(bundle)), "is not a folder", "give the folder that holds alertmanager.yml")
        elif not (prometheus or alertmanager or patterns):
            hint = f"they are called {PROMETHEUS_NAMES[0]} and {ALERTMANAGER_NAMES[0]}; or name files with --rules"
            reading.say(Place(str(bundle)), "holds neither a Prometheus nor an Alertmanager configuration", hint)
    texts = _Texts(reading)
    configurations = [path for path in (prometheus, alertmanager, promise) if path is not None]
    read_p = texts.read("prometheus", prometheus, partial(read_prometheus, needs_jobs=needs_jobs), _NO_PROMETHEUS)
    read_a = texts.read("alertmanager", alertmanager, read_alertmanager, _NO_ALERTMANAGER)
    promised = texts.read("promise", promise, _promised, NO_PROMISE)
    rule_files = _asked(reading, patterns)
    if prometheus is not None and not patterns:
        rule_files = files_named(reading, prometheus.parent, read_p.rule_files, configurations)
    named = templates
    if alertmanager is not None and not templates:
        named = templates_named(reading, alertmanager.parent, read_a.templates, configurations)
    for role, files in (("rules", rule_files), ("template", named)):
        for file in files:
            texts.take(role, file)
    read_r = [rule for name, text in texts.of("rules") for rule in read_rules(reading, text, name, read_p)]
    reading.problems[:] = dict.fromkeys(texts.opened(problem) for problem in reading.problems)
    reading.finish()
    kept = marked(texts.found.items())
    return AlertConfig(
        read_p.jobs,
        read_p.evaluation_interval_s,
        tuple(replace(rule, place=texts.place(rule.place)) for rule in read_r),
        read_a.route,
        read_a.receivers,
        read_a.inhibit_rules,
        promised,
        {key: unmarked(text) for key, text in kept.items()},
        read_p.external_labels,
        tuple(replace(each, problem=texts.opened(each.problem)) for each in reading.not_understood),
        tuple(replace(step, place=texts.place(step.place)) for step in read_p.relabels),
        marked=kept,
    )


def versions_of(yours: Iterable[str]) -> dict[str, str]:
    """The user's versions by server (prometheus, alertmanager), as --yours names them; raises BadInput."""
    found = dict(each.partition("=")[::2] for each in yours)
    wrong = [f"{n}={v}" for n, v in found.items() if n not in _SERVERS or not numbers(v)]
    if wrong:
        raise BadInput(Problem(None, f"--yours: '{each}' is no version", "as alertmanager=0.33") for each in wrong)
    return found


def given(config: AlertConfig, role: str) -> bool:
    """Whether a file of this role (prometheus, rules, alertmanager, promise, template) was shown."""
    return any(key.startswith(f"{role}:") for key in config.sources)


class _Texts:
    """The texts by `role:NAME`; `parts` names the file behind each further document of one file."""

    def __init__(self, reading: Reading) -> None:
        self.found: dict[str, str] = {}
        self.parts: dict[str, str] = {}
        self._reading = reading

    def take(self, role: str, file: Path) -> str:
        """The name under which the file's text is kept; "" and a problem when it cannot be read."""
        name = _shown(file)
        try:
            text = read_text(file, any_bytes=role == "template")
            texts = rule_texts(text, name) if role == "rules" else (text,)
        except BadInput as bad:
            # Rules and templates that cannot be read are left out; without any other file there is nothing to go by.
            if role in ("rules", "template"):
                self.found[f"unread:{name}"] = unread_text(bad, role)
                leave_unread(self._reading, self.found[f"unread:{name}"], name)
                return ""
            for problem in bad.problems:
                self._reading.say(
                    Place(name, problem.place.line if problem.place else 0), problem.message, problem.hint
                )
            return ""
        for number, each in enumerate(texts, 1):
            part = name if number == 1 else f"{name} (document {number})"
            self.found[f"{role}:{part}"] = each
            if part != name:
                self.parts[part] = name
        return name

    def read(self, role: str, file: Path | None, reader: Callable[[Reading, str, str], R], missing: R) -> R:
        """What the reader makes of the file; `missing` where there is none, or it cannot be read."""
        name = self.take(role, file) if file is not None else ""
        return reader(self._reading, self.found[f"{role}:{name}"], name) if name else missing

    def of(self, role: str) -> list[tuple[str, str]]:
        return [(key.partition(":")[2], text) for key, text in self.found.items() if key.startswith(f"{role}:")]

    def place(self, place: Place) -> Place:
        """The same place in the file itself."""
        return Place(self.parts[place.file], place.line) if place.file in self.parts else place

    def opened(self, problem: Problem) -> Problem:
        return replace(problem, place=self.place(problem.place)) if problem.place else problem


def _shown(file: Path) -> str:
    """The path from here, where the file lies below."""
    here = Path.cwd()
    full = file if file.is_absolute() else here / file
    return full.relative_to(here).as_posix() if full.is_relative_to(here) else file.as_posix()


def _first(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _asked(reading: Reading, patterns: Iterable[str]) -> Iterable[Path]:
    """The files that --rules asks for, each once: a file, a folder's YAML files, or a pattern with ** and *."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            files = sorted(each for each in path.iterdir() if each.suffix in (".yml", ".yaml") and not each.is_dir())
        elif path.exists():
            files = [path]
        else:
            names = glob.glob(pattern, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
            files = sorted(each for each in map(Path, names) if not each.is_dir())
        if not files:
            reading.say(Place(pattern), "--rules leads to no file", "check the path; put quotes around a pattern")
        found.update(dict.fromkeys(files))
    return found


def _promised(reading: Reading, text: str, file: str) -> Promise:
    """The promise with every name in it taken as it stands: who compares it says which lead nowhere."""
    return read_promise(reading, text, file, _Anything(), _Anything())


class _Anything(Collection[str]):
    """The names of alerts or receivers that nobody has shown: it holds every name, and lists none."""

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
