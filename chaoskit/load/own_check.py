"""Can a locustfile be used? Asked before a run starts anything, in a process of its own, for it runs the file's code.

`python -m chaoskit.load.own_check PATH` prints what is wrong as JSON lines; only that process imports Locust.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.load.output import BoundedOutput
from chaoskit.stack.process import tied

_LONGEST_S = 30.0
_TAIL = 500
_MOST_PRINTED = 100_000


def check_locustfile(path: Path, timeout_s: float = _LONGEST_S) -> list[Problem]:
    """What keeps this file from being a load, with its line where there is one; empty when nothing does.

    Runs the file's top level, as the load itself will. Bounded by `timeout_s` real seconds.
    """
    command = [sys.executable, "-m", "chaoskit.load.own_check", str(path)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            printed = Path(folder) / "printed"
            with BoundedOutput(printed, _MOST_PRINTED) as output:
                done = subprocess.run(
                    tied(command),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=output.fd,
                    text=True,
                    timeout=timeout_s,
                    check=False,
                    start_new_session=True,  # a Ctrl-C is ours to hear
                )
            said = printed.read_text(errors="replace").strip()[-_TAIL:]
    except subprocess.TimeoutExpired:
        return [
            Problem(Place(str(path)), f"is not imported within {timeout_s:g} s", "move what takes long into its tasks")
        ]
    if done.returncode == 0:
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return [Problem(Place(one["file"], one["line"]), one["message"], one["hint"]) for one in found]
    return [Problem(Place(str(path)), f"ended the process that imported it with {done.returncode}", said)]


def main(path: str) -> None:
    """The asked process: prints the problems of the file."""
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the file prints is not for the parent
    from chaoskit.load.own_users import user_classes

    try:
        user_classes(path)
    except BadInput as error:
        for problem in error.problems:
            place = problem.place or Place(path)
            one = {"file": place.file, "line": place.line, "message": problem.message, "hint": problem.hint}
            print(json.dumps(one), file=said)
    said.close()


if __name__ == "__main__":
    main(sys.argv[1])
