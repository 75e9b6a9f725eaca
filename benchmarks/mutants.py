"""Mutants of the shipped configuration by seeds: how many `check` kills, and how the rest end in real drills.

Each seed draws so many mutants, of each operator in proportion. `check` judges all of them; of those that it lets pass
(or only warns of) so many are drawn again and played for real, each with the first scenario that exercises what it
changes. A survivor is told with its cause: the drill goes far beyond the threshold, the drill replaces what was
changed, or the promise does not say it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from benchmarks.shared import RUN_MODULE, Unusable, environment, machine, out_folder, show
from chaoskit import bundle
from chaoskit.alerting.config import load_config
from chaoskit.mutate.generate import mutants_of, sampled
from chaoskit.mutate.model import OPERATORS, Mutant
from chaoskit.mutate.source import files_of, texts_of

ENDS = ("refused", "killed", "warned", "equivalent", "execute")
PLAYED = ("killed", "refused", "survived", "unknown", "not played")
_SAID = re.compile(
    r"^mutant (?P<id>\w+) \(.*\): (?P<status>\w+) by (?P<by>\S+?)(?: at (?P<hop>\S+))?: (?P<why>.*)$", re.M
)
_ON_ITS_OWN = ("target-port-wrong", "alerting-dropped", "url-wrong", "global-changed")
"""Operators that change what a drill puts in place of its own."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One mutant: how `check` judged it, which scenarios exercise it, and how it ended where it was played."""

    id: str
    operator: str
    site: str
    change: str
    static: str
    by: str
    scenarios: tuple[str, ...]
    played: str = "not played"
    hop: str = ""
    why: str = ""
    took_s: float = 0.0

    @property
    def cause(self) -> str:
        """Why a drill does not notice it, as far as the operator tells."""
        if self.operator in _ON_ITS_OWN:
            return "the drill replaces it"
        return "too far from the threshold" if self.site.endswith(".expr") else "not promised"


def drawn(seeds: Iterable[int], count: int) -> list[Mutant]:
    """The mutants that these seeds draw from all of the shipped configuration's, each once."""
    everything = mutants_of(texts_of(files_of(load_config(bundle.folder()))))
    ids = {mutant.id for seed in seeds for mutant in sampled(everything, count, seed)}
    return [mutant for mutant in everything if mutant.id in ids]


def static(seed: int, count: int) -> list[Judged]:
    """What `check` says of one seed's mutants; raises Unusable where the configuration as it is does not pass."""
    argv = ["mutate", "--static", "--sample", str(count), "--seed", str(seed), "--format", "json"]
    done = subprocess.run(
        [sys.executable, "-m", RUN_MODULE, *argv], capture_output=True, text=True, check=False, env=environment()
    )
    if done.returncode:
        raise Unusable(f"chaoskit {' '.join(argv)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return [read(each) for each in json.loads(done.stdout)]


def read(told: Mapping[str, Any]) -> Judged:
    """One mutant of `mutate --format json`."""
    change = "; ".join(f"{' '.join(e['old'].split())} → {' '.join(e['new'].split())}"[:80] for e in told["edits"])
    return Judged(
        told["id"], told["operator"], told["site"], change, told["status"], told["by"], tuple(told["scenarios"])
    )


def play(one: Judged, out: Path, limit_s: float) -> Judged:
    """The mutant after a drill of the first scenario that exercises it."""
    begun = time.monotonic()
    argv = [sys.executable, "-m", RUN_MODULE, "mutate", "--run", one.id, one.scenarios[0], "--out", str(out)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment(), timeout=limit_s)
        said = done.stdout
    except subprocess.TimeoutExpired:
        said = ""
    return replace(heard(one, said), took_s=time.monotonic() - begun)


def heard(one: Judged, said: str) -> Judged:
    """The mutant after what `mutate --run` said of it; unknown where it said nothing."""
    found = _SAID.search(said)
    if found is None:
        return replace(one, played="unknown", why="it said nothing of the mutant")
    return replace(one, played=found["status"], hop=found["hop"] or "", why=found["why"])


def by_operator(judged: Sequence[Judged], ends: Sequence[str], of: str) -> list[list[object]]:
    """A row for each operator that was drawn: how many ended how, and all of them."""
    counts = Counter((each.operator, getattr(each, of)) for each in judged)
    rows: list[list[object]] = [
        [operator, *(counts[operator, end] or "" for end in ends)]
        for operator in OPERATORS
        if any(counts[operator, end] for end in ends)
    ]
    return [*rows, ["all", *(sum(counts[operator, end] for operator in OPERATORS) for end in ends)]]


@click.command()
@click.option("--seeds", default="1,2,3", show_default=True, help="Each draws --sample mutants.")
@click.option("--sample", default=50, show_default=True, help="How many a seed draws.")
@click.option("--drills", default=40, show_default=True, help="At most so many of what `check` lets pass are played.")
@click.option("--limit", "limit_s", default=240.0, show_default=True, help="Seconds that one drill may take.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the runs here.")
def main(seeds: str, sample: int, drills: int, limit_s: float, out: Path | None) -> None:
    """Prints how the mutants of each seed ended under `check`, and how those ended that were played."""
    click.echo(machine())
    by_seed = {int(seed): static(int(seed), sample) for seed in seeds.split(",")}
    rows = [
        [seed, len(found), *(Counter(e.static for e in found)[end] for end in ENDS)] for seed, found in by_seed.items()
    ]
    everyone = {each.id: each for found in by_seed.values() for each in found}
    show("by check", ("seed", "mutants", *ENDS), rows)
    show("by check, each mutant once", ("operator", *ENDS), by_operator(list(everyone.values()), ENDS, "static"))
    passed = [each for each in everyone.values() if each.static in ("execute", "warned")]
    chosen = {m.id for m in sampled([m for m in drawn(by_seed, sample) if m.id in {e.id for e in passed}], drills, 1)}
    with out_folder(out) as folder:
        done = []
        for each in passed:
            if each.id not in chosen or not each.scenarios:
                done.append(each)
                continue
            done.append(play(each, folder, limit_s))
            click.echo(
                f"{each.id} {each.operator} {each.site} by {each.scenarios[0]}: {done[-1].played} {done[-1].hop}"
            )
    show("what check lets pass, by drills", ("operator", *PLAYED), by_operator(done, PLAYED, "played"))
    for cause, count in Counter(e.cause for e in done if e.played == "survived").most_common():
        click.echo(f"{count} survived: {cause}")
        for each in (e for e in done if e.played == "survived" and e.cause == cause):
            click.echo(f"   {each.id} {each.operator} {each.site}: {each.change} ({each.scenarios[0]})")
    for each in (e for e in done if e.played == "unknown"):
        click.echo(f"unknown: {each.id} {each.operator} {each.site} ({each.scenarios[0]}): {each.why}")


if __name__ == "__main__":
    main()
