"""The terminal that commands print to; wide enough for whole lines where the output is not one.

Everything printed passes through it, so it is the last guard: from a label, a title or a file's text
no control character but a line's end reaches the terminal, and nothing in it is taken as markup.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from chaoskit.report.text import clean, clean_lines

_PLAIN_WIDTH = 180


class Terminal(Console):
    """A console that takes text as text: no markup, no emoji codes, no control characters from outside."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Renders as rich does, with the text of every segment made harmless; rich's own control codes are kept."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(clean_lines(text), style)


def console(*, stderr: bool = False) -> Console:
    """A console for this terminal, or for a file or pipe."""
    found = Terminal(stderr=stderr)
    return found if found.is_terminal else Terminal(stderr=stderr, width=_PLAIN_WIDTH)


def say(line: str) -> None:
    """Prints one line to the terminal, never folded."""
    console().print(clean(line), soft_wrap=True)


def print_as(format_: str, forms: Mapping[str, Callable[..., Any]], *about: Any) -> None:
    """Prints what the form of this name makes of `about`: a text, lines, or a view for the terminal; None is printed
    already.
    """
    made = forms[format_](*about)
    if isinstance(made, str):
        click.echo(made, nl=not made.endswith("\n"))
    elif isinstance(made, Iterator):
        for line in made:
            click.echo(line)
    elif made is not None:
        console().print(made)


class Commands(click.Group):
    """A group whose help says of each command all of its first sentence, folded where the terminal is narrow.

    Commands named in `later` (`module:attribute` below this package) are imported when they are asked for: together
    they take longer than any one of them needs to start.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.later: dict[str, str] = {}

    def fetch(self, name: str) -> None:
        """Import a command's module where it was not imported yet; another name is passed over."""
        if name in self.later and name not in self.commands:
            module, _, attribute = self.later[name].partition(":")
            self.add_command(getattr(importlib.import_module(f"chaoskit.cli.{module}"), attribute), name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, those not imported yet included."""
        return sorted({*self.commands, *self.later})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now where it was not yet; None where there is none."""
        self.fetch(cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, nothing cut."""
        commands = [(name, self.get_command(context, name)) for name in self.list_commands(context)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=1000)) for name, one in commands if one])
