"""Python's cycle collector, held back while a command builds one large tree that lives until its end.

The one idea: nothing in a configuration becomes garbage while it is read and compared, so looking for garbage among its
nodes again and again finds none, and costs a third of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Holds the collector back inside, and leaves it as it was found."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
