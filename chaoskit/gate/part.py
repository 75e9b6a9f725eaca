"""One part of a gate that several machines share, and what it leaves for `chaoskit gate merge`: `part.json`.

Every machine plans the whole gate and plays its part of it, so each part knows of all the others: what a missing one
should have played, and whether two parts are of one gate. The file is written when the part begins, and once more with
the time intervals that it played; how each scenario ended is in its `gate.json`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from chaoskit.errors import BadInput, Problem
from chaoskit.gate.candidate import Candidate, LeftOut, proves
from chaoskit.gate.coverage import everything
from chaoskit.run.planning import Asked
from chaoskit.surroundings import leave
from chaoskit.units import amount
from chaoskit.verify.verdict import Row

FILE = "part.json"
HOURS_PART = 1
"""The part that plays the time intervals, which a gate plays once."""


class Shard(msgspec.Struct, frozen=True):
    """The part that was asked for: its number, from 1, and how many there are."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"part {self.number} of {self.of}"


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario of the whole gate, and the part that plays it."""

    name: Annotated[str, msgspec.Meta(pattern=r"^(?!\.\.?$)[^/\0]+$")]
    """It names a folder, so it leads to no other."""
    part: int
    title: str
    expects: list[str]
    proves: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part's record."""

    shard: Shard
    began: Annotated[float, msgspec.Meta(ge=0, lt=2**37)]
    """Seconds since the epoch."""
    versions: dict[str, str]
    time_scale: float
    seed: int
    settings: list[str]
    sources: dict[str, str]
    """A digest of each text that the whole gate was planned from."""
    scenarios: list[Planned]
    left_out: list[LeftOut]
    """The scenarios that no part plays."""
    names: dict[str, list[str]]
    """Everything that there is to prove, by kind."""
    hours: list[str] = []
    """The time intervals to be played, by what their rows are about."""
    played: list[Row] = []
    """The rows of those that this part played."""


def choose_part(parts: Sequence[Sequence[Candidate]], shard: Shard) -> tuple[list[Candidate], list[LeftOut]]:
    """The scenarios of one part, and those of the others; raises BadInput where a part would have none."""
    if not all(parts):
        count = sum(map(len, parts))
        what = f"--shard: {shard.of} parts of {amount(count, 'scenarios')} would leave one with nothing to play"
        raise BadInput(Problem(None, what, f"ask for at most {amount(count, 'parts')}, or select more scenarios"))
    others = [
        LeftOut(one.name, f"part {number} of {shard.of} plays it", proves(one.plan.scenario))
        for number, members in enumerate(parts, 1)
        for one in members
        if number != shard.number
    ]
    return list(parts[shard.number - 1]), others


def describe_part(
    shard: Shard,
    parts: Sequence[Sequence[Candidate]],
    left_out: Sequence[LeftOut],
    asked: Asked,
    versions: Mapping[str, str],
    hours: Sequence[str],
) -> Part:
    """The record of a part that is about to begin."""
    everyone = [one for members in parts for one in members]
    plan = everyone[0].plan
    return Part(
        shard=shard,
        began=time.time(),
        versions=dict(versions),
        time_scale=plan.time_scale,
        seed=plan.seed,
        settings=list(asked.settings),
        sources={key: digest for one in everyone for key, digest in sorted(one.texts.items())},
        scenarios=sorted(
            (
                Planned(
                    name=one.name,
                    part=number,
                    title=one.title,
                    expects=sorted(one.expects),
                    proves=proves(one.plan.scenario),
                )
                for number, members in enumerate(parts, 1)
                for one in members
            ),
            key=lambda each: each.name,
        ),
        left_out=list(left_out),
        names={kind: sorted(names) for kind, names in everything(plan.config, plan.profile.standing).items()},
        hours=list(hours),
    )


def write_part(folder: Path, part: Part) -> None:
    """Leaves the record in the part's folder."""
    leave(folder / FILE, msgspec.json.format(msgspec.json.encode(part), indent=1) + b"\n")
