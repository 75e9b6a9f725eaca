"""The options of whatever plans a run: one set, handed to the command as what was asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from chaoskit import bundle
from chaoskit.cli.numbers import TIME_SCALE
from chaoskit.cli.sources import versions_of, yours_option
from chaoskit.errors import ExitCode
from chaoskit.run.planning import Asked

PROFILE = click.option("--profile", default="local", show_default=True, help="Where and how hard: a name or a file.")
BUNDLE = click.option(
    "--bundle",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder laid out like the shipped alert configuration.",
)
_OPTIONS = (
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
        used = folder or bundle.folder()
        return command(asked=Asked("", profile, used, settings, time_scale, seed, yours=versions_of(yours)), **more)

    for option in reversed(_OPTIONS):
        with_asked = option(with_asked)
    return with_asked
