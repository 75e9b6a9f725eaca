"""`diff`: what a change of configuration means for the people who are told; starts nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import AlertConfig
from chaoskit.cli.console import print_as
from chaoskit.cli.outputs import form
from chaoskit.cli.sources import config_options
from chaoskit.collector import gc_pause
from chaoskit.diff.compare import diff
from chaoskit.diff.model import Broken, Change, Difference, Doubt
from chaoskit.diff.output import to_github, to_json, to_markdown
from chaoskit.errors import BadInput, ExitCode, Place, Problem
from chaoskit.host.revisions import at_revision
from chaoskit.report.difference import NOTHING, difference_view
from chaoskit.stack.original import understood
from chaoskit.yaml_source import Node, read, read_text

T = TypeVar("T", Problem, Change, Broken, Doubt)

_ROLES = {
    "alertmanager": {"route", "receivers", "inhibit_rules"},
    "prometheus": {"scrape_configs", "rule_files", "scrape_config_files"},
    "rules": {"groups", "kind", "spec"},
    "promise": {"chaoskit"},
}
_KEYS = "an Alertmanager or Prometheus configuration, a rule file or a promise"


@click.command("diff")
@click.argument("paths", nargs=-1, metavar="[OLD] NEW")
@click.option("--base", metavar="REVISION", help="Take NEW at this branch, tag or commit of git as OLD.")
@config_options
@form("text", "json", "github", "markdown")
def diff_command(
    paths: tuple[str, ...],
    base: str | None,
    files: ConfigFiles,
    format_: str,
) -> ExitCode:
    """Tell what changes for people between two configurations, OLD and NEW; starts nothing.

    Each is a folder, or one file of a configuration whose other parts the options name for both sides.
    With --base only NEW is given.

    Exit codes: 0 no promise is broken, 1 one is, by NEW's or OLD's promise, or no alert is sent any more,
    2 something cannot be read, 3 something differs, and the texts do not tell which alerts it concerns.
    """
    wanted = 1 if base else 2
    if len(paths) != wanted:
        what = "NEW, and --base takes the place of OLD" if base else "OLD and NEW, or NEW with --base REVISION"
        raise BadInput(Problem(None, f"{len(paths)} paths were given", f"give {what}"))

    def load(path: Path) -> AlertConfig:
        return understood(_load(path, files))

    new = Path(paths[-1])
    with ExitStack() as stack:
        if base:
            old = stack.enter_context(at_revision(new, base))
            folder = old if old.is_dir() else old.parent
            here = (new if new.is_dir() else new.parent).as_posix().rstrip("/")
            shown: Callable[[str], str] = _renamed(folder.as_posix(), f"{base}:{here}")
        else:
            old, shown = Path(paths[0]), str
        stack.enter_context(gc_pause())
        difference = _compared(lambda: load(old), lambda: load(new), shown, rules_given=bool(files.rules))
    forms = {"text": difference_view, "json": to_json, "github": _to_github, "markdown": to_markdown}
    print_as(format_, forms, difference)
    if difference.broken:
        return ExitCode.FAIL
    if difference.unread:
        return ExitCode.USAGE
    return ExitCode.UNKNOWN if difference.doubts else ExitCode.PASS


def _compared(
    load_old: Callable[[], AlertConfig],
    load_new: Callable[[], AlertConfig],
    shown: Callable[[str], str],
    *,
    rules_given: bool,
) -> Difference:
    """The difference with places as the reader knows them; the problems of both sides at once."""
    problems: list[Problem] = []
    read_: list[AlertConfig] = []
    for load in (load_old, load_new):
        try:
            read_.append(load())
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(_shown(problem, shown) for problem in dict.fromkeys(problems))
    for config in read_:
        if not any(rule.alert for rule in config.rules):
            file = shown(next(iter(config.sources), "").partition(":")[2])
            hint = "name the rule files with --rules, or give a folder whose Prometheus configuration names them"
            raise BadInput(Problem(Place(file), "no alerting rule was found, so there is nothing to compare", hint))
    found = diff(read_[0], read_[1], rules_given=rules_given)
    return Difference(
        tuple(_shown(each, shown) for each in found.changes),
        tuple(_shown(each, shown) for each in found.broken),
        tuple(shown(each) for each in found.mended),
        tuple(_shown(each, shown) for each in found.doubts),
        found.unread,
    )


def _shown(each: T, shown: Callable[[str], str]) -> T:
    """A copy in which every text names files as the user gave them."""
    changed: dict[str, Any] = {}
    for field in fields(each):
        value = getattr(each, field.name)
        if isinstance(value, str):
            changed[field.name] = shown(value)
        elif isinstance(value, Place):
            changed[field.name] = Place(shown(value.file), value.line)
    return replace(each, **changed)


def _renamed(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def _load(path: Path, files: ConfigFiles) -> AlertConfig:
    """The configuration in a folder, or the one that the options name with this file in its place."""
    role = "bundle" if path.is_dir() else _role(path)
    changed = {"rules": (str(path), *files.rules)} if role == "rules" else {role: path}
    return replace(files, **changed).load()


def _role(path: Path) -> str:
    """The role of a file, by the keys it begins with: rules, prometheus, ...; raises BadInput if they tell none."""
    text = read_text(path)
    if "PrometheusRule" in text:
        return "rules"
    root: Node = read(text, str(path), first=True)
    found = [role for role, keys in _ROLES.items() if keys & set(root.keys)]
    if len(found) != 1:
        raise BadInput(Problem(Place(str(path)), "its keys fit no single kind of file", f"give {_KEYS}, or a folder"))
    return found[0]


def _to_github(difference: Difference) -> Iterator[str]:
    return to_github(difference) if not difference.empty else iter((f"::notice ::{NOTHING}",))
