"""`list`: the scenarios, or what else there is of a kind: faults and actions, handles, checks, lints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

import chaoskit.check.lints  # noqa: F401 - fills the registry
from chaoskit.adapters.docs import way_rows
from chaoskit.check.findings import LINTS
from chaoskit.cli.console import console
from chaoskit.errors import BadInput
from chaoskit.faults.docs import fault_rows
from chaoskit.handles import handle_kinds
from chaoskit.marked import summary
from chaoskit.report.table import table
from chaoskit.report.text import clean
from chaoskit.scenario.catalog import list_scenarios
from chaoskit.verify.docs import check_rows


@click.command("list")
@click.option("--faults", is_flag=True, help="Kinds of faults and actions instead.")
@click.option("--handles", is_flag=True, help="Kinds of handles instead.")
@click.option("--checks", is_flag=True, help="The checks of a verdict instead, in its order.")
@click.option("--lints", is_flag=True, help="The lints of `check` instead.")
def list_command(faults: bool, handles: bool, checks: bool, lints: bool) -> None:
    """List scenarios, what they break, and which alerts they prove; or faults, handles, checks, lints."""
    if faults:
        _show(("kind", "target", "change", "what it does"), fault_rows())
    if handles:
        _show(("kind", "keys", "on the local target", "faults", "what it is"), _handles())
        _show(("handle", "via", "keys", "kinds", "ends by itself", "what it is"), way_rows())
    if checks:
        _show(("check", "judges", "what it does"), check_rows())
    if lints:
        _show(
            ("id", "severity", "what it looks for"), ((one.id, str(one.severity), one.what) for one in LINTS.values())
        )
    if faults or handles or checks or lints:
        return
    listed = list_scenarios()
    _show(
        ("scenario", "title", "breaks with", "proves"),
        ((one.name, one.title or "cannot be read", ", ".join(one.faults), ", ".join(one.alerts)) for one in listed),
    )
    problems = [problem for one in listed for problem in one.problems]
    if problems:
        raise BadInput(problems)


def _handles() -> Iterator[tuple[str, ...]]:
    """Every kind of handle: its keys, what the local target has of it, whether it takes several faults, what it is."""
    for kind in handle_kinds().values():
        keys = ", ".join(kind.key_names()) or "not in profiles"
        at_once = "one at a time" if kind.exclusive else "several"
        yield kind.kind, keys, ", ".join(kind.parts), at_once, summary(kind)


def _show(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    shown = table(*titles)
    for row in rows:
        shown.add_row(*map(clean, row))
    console().print(shown)
