"""How long `diff` and `explain` take as a configuration grows; both sides are generated, nothing is downloaded.

    python -m benchmarks.diff_scale                        # a table of three sizes
    python -m benchmarks.diff_scale --rules 10000 --routes 1000 --profile

The growth exponent is that of the processor's time between the last two sizes: 1 is linear.
The new side differs in every tenth route's group_wait, in one receiver less and in an inhibition more.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.check_scale import GOAL_MIB, GOAL_S, LINEAR, SIZES, write
from benchmarks.shared import exponent, machine, peak_mib, show, verdict_on
from chaoskit.alerting.config import load_config
from chaoskit.collector import gc_pause
from chaoskit.diff.compare import diff
from chaoskit.explain.alert import explain


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


@dataclass(frozen=True, slots=True)
class Compared:
    """(Real seconds, the processor's) for reading both, for the difference, and for one explanation."""

    rules: int
    routes: int
    read_s: tuple[float, float]
    diff_s: tuple[float, float]
    explain_s: tuple[float, float]
    changes: int

    @property
    def together_s(self) -> tuple[float, float]:
        return self.read_s[0] + self.diff_s[0], self.read_s[1] + self.diff_s[1]


def timed(rules: int, routes: int) -> Compared:
    """Both sides of this size read and compared, and one alert explained."""
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
        return Compared(rules, routes, laps[0], laps[1], laps[2], len(found.changes))


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
    found = [timed(rules, routes) for rules, routes in sizes]
    profile.disable()
    heads = ("rules", "routes", "read both", "compare", "diff", "explain one", "changes")
    rows = []
    for one in found:
        spans = (one.read_s, one.diff_s, one.together_s, one.explain_s)
        rows.append((one.rules, one.routes, *(f"{wall:.2f} ({cpu:.2f})" for wall, cpu in spans), one.changes))
    show("Seconds on the wall (and of one processor)", heads, rows)
    explained_s = found[-1].read_s[0] / 2 + found[-1].explain_s[0]
    lines = [f"diff, the largest: {verdict_on(found[-1].together_s[0], GOAL_S, ' s')} (real time)"]
    lines += [f"explain, reading included: {verdict_on(explained_s, GOAL_S, ' s')} (real time)"]
    lines += [f"memory: {verdict_on(peak_mib(), GOAL_MIB, ' MiB')}"]
    if len(found) > 1:
        power = exponent([one.rules for one in found], [one.together_s[1] for one in found])
        lines += [f"growth exponent of diff: {verdict_on(power, LINEAR)}"]
    print("\n".join([*lines, machine()]))  # noqa: T201
    if asked.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
