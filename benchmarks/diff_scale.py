"""How long `diff` and `explain` take as a configuration grows; both sides are generated, nothing is downloaded.

    python -m benchmarks.diff_scale                        # a table of three sizes
    python -m benchmarks.diff_scale --rules 10000 --routes 1000 --profile

The new side differs in every tenth route's group_wait, in one receiver less and in an inhibition more.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.check_scale import SIZES, write
from benchmarks.shared import show
from chaoskit.alerting.config import load_config
from chaoskit.cli.diff import gc_pause
from chaoskit.diff.compare import diff
from chaoskit.explain.alert import explain

GOAL_S = 10.0


def change(folder: Path, routes: int) -> None:
    """Makes the new side of what was written to this folder."""
    file = folder / "alertmanager.yml"
    text = file.read_text()
    for number in range(0, routes, 10):
        text = text.replace(
            f"      receiver: receiver{number}\n", f"      receiver: receiver{number}\n      group_wait: 45s\n"
        )
    text = text.replace("      receiver: receiver1\n", "      receiver: receiver2\n")
    extra = "  - source_matchers: [team=team2]\n    target_matchers: [team=team3]\n"
    file.write_text(text.replace("inhibit_rules:\n", f"inhibit_rules:\n{extra}"))


def timed(rules: int, routes: int) -> Sequence[object]:
    """One row: seconds of processor and of wall for reading both, for the difference, and for one explanation."""
    with tempfile.TemporaryDirectory() as name, gc_pause():  # as the command does
        folders = Path(name) / "old", Path(name) / "new"
        for folder in folders:
            folder.mkdir()
            write(folder, rules, routes)
        change(folders[1], routes)
        walls, cpus = [time.perf_counter()], [time.process_time()]

        def lap() -> None:
            walls.append(time.perf_counter())
            cpus.append(time.process_time())

        old, new = (load_config(bundle=folder) for folder in folders)
        lap()
        found = diff(old, new)
        lap()
        explain(new, "Service7Errors")
        lap()
        laps = [(b - a, d - c) for a, b, c, d in zip(walls, walls[1:], cpus, cpus[1:], strict=False)]
        together = walls[2] - walls[0], cpus[2] - cpus[0]
        return [
            rules,
            routes,
            *(f"{wall:.2f} ({cpu:.2f})" for wall, cpu in (*laps[:2], together, laps[2])),
            len(found.changes),
            "met" if together[0] < GOAL_S else "NOT met",
        ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rules", type=int)
    options.add_argument("--routes", type=int, default=100)
    options.add_argument("--profile", action="store_true", help="also print where the time goes")
    asked = options.parse_args()
    sizes = ((asked.rules, asked.routes),) if asked.rules else SIZES
    profile = cProfile.Profile()
    if asked.profile:
        profile.enable()
    rows = [timed(rules, routes) for rules, routes in sizes]
    profile.disable()
    heads = ("rules", "routes", "read both", "compare", "diff", "explain one", "changes", f"goal {GOAL_S:g} s")
    show("Seconds on the wall (and of one processor)", heads, rows)
    if asked.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
