"""The terminal that commands print to; wide enough for whole lines where the output is not one."""

from __future__ import annotations

from rich.console import Console

_PLAIN_WIDTH = 180


def console() -> Console:
    """A console for this terminal, or for a file or pipe."""
    found = Console()
    return found if found.is_terminal else Console(width=_PLAIN_WIDTH)
