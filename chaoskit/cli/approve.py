"""`approve`: what a person has read and found right is kept as texts, which `check` compares from then on."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

import click
from rich.text import Text

from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import AlertConfig
from chaoskit.approve.texts import LABELS, changes, labels_text, rendered
from chaoskit.cli.console import console
from chaoskit.cli.sources import (
    approved_folder,
    approved_option,
    config_options,
    known_alerts,
    or_shipped,
    programs_of,
    yours_option,
)
from chaoskit.errors import BadInput, ExitCode, Place, Problem
from chaoskit.files import write_named
from chaoskit.probes.levels import Levels
from chaoskit.probes.text import text_of
from chaoskit.report.text import clean
from chaoskit.stack.binaries import Tool
from chaoskit.stack.original import understood
from chaoskit.yaml_source import read_text


@click.command("approve")
@config_options
@approved_option
@click.option("--alert", "alerts", multiple=True, metavar="NAME", help="Only this alert; repeatable.")
@click.option("--update", is_flag=True, help="Replace the approved texts that differ, after the difference is shown.")
@yours_option
def approve_command(
    files: ConfigFiles, approved: Path | None, alerts: tuple[str, ...], update: bool, yours: Mapping[str, str]
) -> ExitCode:
    """Write what each alert answers to series around its threshold, and each of its notices, to be read and kept.

    Texts that are there and differ are shown, and replaced with --update only. `chaoskit check` compares them. A
    notice is rendered with the labels that labels.txt of its alert lists: correct them there.

    Exit codes: 0 all are as approved, or written, 1 some differ and were left, 2 bad input, 3 an alert has no probes,
    or a notice cannot be rendered.
    """
    config = understood(or_shipped(files).load())
    tools = programs_of(yours, "promtool", *(["amtool"] if config.shows("alertmanager") else []))
    folder = approved or approved_folder(files)
    known_alerts(config, alerts)
    texts, lacking = _levels(config, tools["promtool"], alerts)
    if config.shows("alertmanager"):
        for alert in alerts or dict.fromkeys(rule.alert for rule in config.rules if rule.alert):
            if not os.path.lexists(folder / alert / LABELS):
                _write(folder / alert / LABELS, labels_text(config, alert))
        notices, failed = rendered(config, tools["amtool"], folder, alerts)
        lacking += [f"{each.name} cannot be rendered: {each.reason}" for each in failed]
        gone = {name: "" for name, _, now in changes(folder, notices, alerts) if not now}
        texts = {**texts, **notices, **dict.fromkeys(gone.keys() - {each.name for each in failed}, "")}
    differ = 0
    for name, text in texts.items():
        before = read_text(folder / name) if os.path.lexists(folder / name) else None
        if before == text:
            continue
        if before is not None:
            differ += 1
            _show(before, text, str(folder / name))
        if before is None or update:
            _write(folder / name, text)
            click.echo(f"{'wrote' if before is None else 'replaced' if text else 'removed'} {folder / name}")
    for reason in lacking:
        click.echo(reason, err=True)
    if differ and not update:
        click.echo(
            f"{differ} of {len(texts)} texts differ from what was approved: chaoskit approve --update takes them"
        )
        return ExitCode.FAIL
    return ExitCode.UNKNOWN if lacking else ExitCode.PASS


def _levels(config: AlertConfig, tool: Tool, alerts: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    levels = Levels(config, tool)
    subjects = levels.subjects(alerts)
    found, lacking = dict[str, str](), list[str]()
    for (name, subject), (answered, without) in zip(subjects, levels.derived([s for _, s in subjects]), strict=True):
        lacking += [f"{subject.rule.place}: {subject.rule.alert}: {reason}" for reason in without]
        if answered.probes:
            found[name] = text_of(answered)
    return found, lacking


def _show(before: str, now: str, name: str) -> None:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    lines = before.splitlines(), now.splitlines()
    for line in difflib.unified_diff(*lines, f"{name} (approved)", name, lineterm=""):
        console().print(Text(clean(line), style=styles.get(line[:1], "")), soft_wrap=True)


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if text:
            write_named(file, text.encode())
        else:
            file.unlink()
    except OSError as error:
        raise BadInput(Problem(Place(str(file)), f"cannot be written: {error.strerror}", "see that folder")) from None
