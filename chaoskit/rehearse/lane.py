"""One lane's process: `python -m chaoskit.rehearse.lane`, a pickled job in, what came of it out.

Both ends are this very program, and the pipes are nobody else's. Whatever else prints lands in the log.
"""

from __future__ import annotations

import os
import pickle
import sys
import traceback


def main() -> int:
    """Plays the lane that standard input describes; 0 also where an error was told instead of a result."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    job = sys.stdin.buffer.read()  # first of all: whoever gives it waits until it is taken

    from chaoskit.errors import ChaoskitError
    from chaoskit.rehearse.perform import perform

    try:
        found: object = perform(*pickle.loads(job))
    except Exception as error:
        if not isinstance(error, ChaoskitError):
            error.add_note(traceback.format_exc())
        found = error
    with out:
        out.write(pickle.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
