"""Holds Python's garbage collector back while much is made and kept, such as a history's events or the rules of a file.

The collector looks through all that is kept again and again, and finds nothing: with a million events in memory that
took longer than reading them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_pause() -> Iterator[None]:
    """Holds the collector back inside, and leaves it as it was found."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
