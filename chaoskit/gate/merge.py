"""The parts of a gate, played by several machines, as one answer: what they left is checked, then judged again here.

    refused, all at once   a part twice, a scenario twice or of another part, parts of another gate (number of parts,
                           versions, scale, texts, sharing out, day), a folder that other users may have written
    a row, UNKNOWN         a part that is missing or has no `gate.json`, a history that cannot be judged

Of a part the histories count: each is copied, and judged here as the part judged it. Of the rest only the number of
attempts, how long they took, errors without a verdict and the rows of the time intervals are taken from it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from chaoskit import __version__, json_text
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.files import HISTORY
from chaoskit.gate.answer import Ended, proofs_of
from chaoskit.gate.candidate import LeftOut, Missing, Unread, candidate, digests
from chaoskit.gate.coverage import KINDS, Coverage, together
from chaoskit.gate.earlier import MOST, SUMMARY, Earlier, Scenario, Summary
from chaoskit.gate.gate import Outcome
from chaoskit.gate.index import INDEX, header_in, header_of
from chaoskit.gate.part import FILE, HOURS_PART, Part, Planned
from chaoskit.report.judge_run import judge_folder
from chaoskit.report.notes import NOTES
from chaoskit.safety.unhealed import COPIES
from chaoskit.trust import Distrusted, read_own, real_folder
from chaoskit.verify.verify import plan_of

_NIGHT_S = 6 * 3600.0
"""Parts that began on two days (UTC) are of one gate if no more than this lies between: it ran over midnight."""
_CLOCK_S = 60.0
"""By so much a machine's clock may have been set back since its part began."""
_PROGRAMS = ("chaoskit", "prometheus", "alertmanager")
_ONE_GATE = "merge the parts of one gate, played with the same files, options and programs"


@dataclass(frozen=True, slots=True)
class Given:
    """A part as its folder has it."""

    folder: Path
    part: Part
    summary: Summary | None
    """None where the part has no end."""
    trouble: str = ""
    """Why it has none."""

    @property
    def number(self) -> int:
        """The part's number."""
        return self.part.shard.number

    @property
    def played(self) -> list[Scenario]:
        """The scenarios that it says it played."""
        return [one for one in self.summary.scenarios if one.attempt] if self.summary else []


def read_parts(folders: Sequence[Path], wrong: Sequence[Problem] = ()) -> list[Given]:
    """The parts in these folders by number; raises BadInput with everything for which they cannot be merged, what was
    found `wrong` before included."""
    problems = list(wrong)
    found: list[Given] = []
    for folder in folders:
        try:
            found.append(_read(folder))
        except BadInput as error:
            problems += error.problems
    by_begin = sorted(found, key=lambda one: one.part.began)
    for at, one in enumerate(found):
        problems += _twice(found[:at], one)
        problems += _of_another_gate(found[0], one)
        problems += _of_another_day(by_begin[0], one)
        problems += _wrong_scenarios(one)
    if problems:
        raise BadInput(problems)
    return sorted(found, key=lambda one: one.number)


def merge(parts: Sequence[Given], folder: Path, old: Earlier | None = None, require: float | None = None) -> Ended:
    """All parts together, as a gate that has ended; every history is judged again, in a folder of its own below this
    one.
    """
    (folder / COPIES).write_bytes(b"".join(os.fsencode(f"{one.part.shard}: {one.folder}\n") for one in parts))
    first, by_number = parts[0].part, {one.number: one for one in parts}
    outcomes: list[Outcome] = []
    no_part_plays = {
        one.name: one for given in parts for one in sorted(given.part.left_out, key=lambda each: each.wrong)
    }
    left_out = list(no_part_plays.values())
    for planned in first.scenarios:
        match _ended(by_number.get(planned.part), planned, first, folder):
            case Outcome() as outcome:
                outcomes.append(outcome)
            case LeftOut() as missing:
                left_out.append(missing)
    player = by_number.get(HOURS_PART)
    hours = [row for row in player.part.played if row.about in first.hours] if player else []
    told = {row.about for row in hours}
    left_out += [Missing(about, _lost(player, HOURS_PART, first)) for about in first.hours if about not in told]
    names = {kind: frozenset(listed) for kind, listed in first.names.items()}
    return Ended(
        folder,
        outcomes,
        Coverage(names, together(proofs_of(outcomes))),
        sorted(left_out, key=lambda one: one.name),
        max((one.summary.took_s for one in parts if one.summary), default=0.0),
        old,
        hours=hours,
        broken_off=any(not one.wrong for one in left_out[len(no_part_plays) :]),
        require=require,
    )


def _ended(given: Given | None, planned: Planned, first: Part, into: Path) -> Outcome | LeftOut:
    """How a scenario ended, or why that is not known."""
    if given is None or given.summary is None:
        return Missing(planned.name, _lost(given, planned.part, first), planned.proves)
    said = next((one for one in given.played if one.name == planned.name), None)
    if said is not None:
        return _judged(given, said, planned, into)
    for one in given.summary.left_out:
        if one.name == planned.name:
            return LeftOut(one.name, one.why, planned.proves)
    return Missing(planned.name, f"{given.folder / SUMMARY} does not say how it ended", planned.proves)


def _lost(given: Given | None, number: int, first: Part) -> str:
    if given is None:
        return f"part {number} of {first.shard.of} is missing: none of the folders is its own"
    if given.summary is None:
        return f"part {number} of {first.shard.of} has no end: {given.trouble}"
    return f"part {number} of {first.shard.of} ended before that: {given.folder}"


def _judged(given: Given, said: Scenario, planned: Planned, into: Path) -> Outcome | Missing:
    folder = into / said.run
    folder.mkdir()
    if said.result == "ERROR":
        known = Unread(planned.name, planned.title, frozenset(planned.expects))
        return Outcome(known, said.exit_code, said.took_s, folder, said.attempt, None, "; ".join(said.reasons))
    if said.attempt > 1:
        with contextlib.suppress(OSError, BadInput):  # it is shown beside the second attempt, which counts
            _copy(given.folder / said.name, into / said.name)
            judge_folder(into / said.name, gate=f"../{INDEX}")
    try:
        _copy(given.folder / said.run, folder)
        verdict, checklists = judge_folder(folder, gate=f"../{INDEX}")
    except (OSError, BadInput) as error:
        why = error.strerror if isinstance(error, OSError) else "; ".join(one.message for one in error.problems)
        return Missing(planned.name, f"{given.folder / said.run}: its history cannot be judged: {why}", planned.proves)
    header = header_of(folder)
    assert header is not None  # it was judged
    one, lists = candidate(planned.name, header.scenario, plan_of(header)), tuple(checklists)
    return Outcome(one, verdict.exit_code, said.took_s, folder, said.attempt, verdict, checklists=lists)


def _copy(old: Path, new: Path) -> None:
    new.mkdir(exist_ok=True)
    for name in ("events.jsonl", NOTES):
        with contextlib.suppress(FileNotFoundError):
            (new / name).write_bytes(read_own(real_folder(old) / name, HISTORY))


def _read(folder: Path) -> Given:
    """The part of a folder; raises BadInput where it is none, or none that may be believed."""
    place = Place(str(folder / FILE))
    try:
        part = json_text.decode(_believed(folder, folder / FILE, MOST), type=Part)
    except OSError as error:
        there = ", ".join(str(file.parent) for file in sorted(folder.glob(f"*/{FILE}")))
        hint = f"give the part below it: {there}" if there else f"each part's folder holds a {FILE}: give that folder"
        raise BadInput(Problem(place, f"cannot be read: {error.strerror}", hint)) from None
    except msgspec.DecodeError as error:
        raise BadInput(Problem(place, f"is torn, or no part's: {error}", "play this part again")) from None
    if not 1 <= part.shard.number <= part.shard.of:
        raise BadInput(Problem(place, f"says that it is {part.shard}", "play this part again"))
    if lacking := [kind for kind in KINDS if kind not in part.names]:
        raise BadInput(Problem(place, f"does not say which {', '.join(lacking)} there are", "play this part again"))
    try:
        summary = json_text.decode(_believed(folder, folder / SUMMARY, MOST), type=Summary)
    except (OSError, msgspec.DecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else f"it is torn: {error}"
        return Given(folder, part, None, f"{folder / SUMMARY} cannot be read: {said}")
    return Given(folder, part, summary)


def _believed(part: Path, file: Path, most: int = HISTORY) -> bytes:
    """The content of a part's file; raises OSError, and BadInput where another user may have written it."""
    try:
        return read_own(real_folder(file.parent) / file.name, most)
    except Distrusted as error:
        hint = f'copy it to where you alone may write: cp -R {shlex.quote(str(part))} "$(mktemp -d)"'
        what = f"is not believed: {error.filename}: {error.strerror}"
        raise BadInput(Problem(Place(str(part)), what, hint)) from None


def _twice(earlier: Iterable[Given], one: Given) -> Iterator[Problem]:
    place = Place(str(one.folder))
    mine = {each.name for each in one.played}
    for other in earlier:
        if other.number == one.number:
            what = f"is {one.part.shard}, and so is {other.folder}"
            yield Problem(place, what, "give each part once")
        elif both := sorted(mine & {each.name for each in other.played}):
            yield Problem(place, f"has played {', '.join(both)}, and so has {other.folder}", "give each scenario once")


_SAME: Mapping[str, Callable[[Part], str]] = {
    "what there is to prove": lambda part: ", ".join(f"{len(part.names[kind])} {kind}" for kind in KINDS),
    "number of parts": lambda part: str(part.shard.of),
    "time scale": lambda part: f"{part.time_scale:g}",
    "--seed": lambda part: str(part.seed),
    "--set": lambda part: shlex.join(part.settings) or "nothing",
    "prometheus": lambda part: part.versions.get("prometheus", "not known"),
    "alertmanager": lambda part: part.versions.get("alertmanager", "not known"),
}


def _of_another_gate(first: Given, one: Given) -> Iterator[Problem]:
    """Why two parts are not of one gate."""
    place, other = Place(str(one.folder)), first.folder
    if (version := one.part.versions.get("chaoskit", "not known")) != __version__:
        hint = f"merge with chaoskit {version}, or play it again"
        yield Problem(place, f"was played by chaoskit {version}, and this is {__version__}", hint)
    for what, of in _SAME.items():
        if of(one.part) != of(first.part):
            yield Problem(place, f"{what}: {of(one.part)}, and {of(first.part)} in {other}", _ONE_GATE)
    if unlike := _unlike(one.part.sources, first.part.sources):
        yield Problem(place, f"other texts than in {other}: {'; '.join(unlike)}", _ONE_GATE)
    shared = [{each.name: f"part {each.part}" for each in given.part.scenarios} for given in (one, first)]
    if unlike := _unlike(*shared):
        hint = "select the same in each part, and let all of them plan by the same --times FILE, or by none"
        yield Problem(place, f"scenarios shared out otherwise than in {other}: {'; '.join(unlike)}", hint)


def _of_another_day(soonest: Given, one: Given) -> Iterator[Problem]:
    """Whether a part began on a later day than the one that began soonest, and not in the same night."""
    days = [datetime.fromtimestamp(given.part.began, UTC) for given in (one, soonest)]
    if days[0].date() != days[1].date() and one.part.began - soonest.part.began > _NIGHT_S:
        what = f"began on {days[0]:%Y-%m-%d at %H:%M} UTC, and {soonest.folder} on {days[1]:%Y-%m-%d at %H:%M} UTC"
        yield Problem(Place(str(one.folder)), what, "play all parts on one day")


def _unlike(mine: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """The names with another value, each with both values."""
    return [
        f"{name} ({mine.get(name, 'none')} here, {others.get(name, 'none')} there)"
        for name in sorted({*mine, *others})
        if mine.get(name) != others.get(name)
    ]


def _wrong_scenarios(one: Given) -> Iterator[Problem]:
    """Scenarios that are not this part's, and histories that are not this gate's."""
    place, plan = Place(str(one.folder)), {each.name: each.part for each in one.part.scenarios}
    for name, times in Counter(said.name for said in one.played).items():
        if times > 1:
            yield Problem(place, f"{SUMMARY} says {times} times how {name} ended", "give folders as the gate left them")
    for said in one.played:
        if plan.get(said.name) != one.number:
            of = f"part {plan[said.name]}'s" if said.name in plan else "no part's"
            yield Problem(place, f"has played {said.name}, which is {of}", "give folders as the gate left them")
        elif said.run != (said.name if said.attempt == 1 else f"{said.name}-again"):
            what = f"{SUMMARY} calls the folder of {said.name} '{said.run}'"
            yield Problem(place, what, "give folders as the gate left them")
        elif said.result != "ERROR":
            yield from _strange_history(one, said)


def _strange_history(one: Given, said: Scenario) -> Iterator[Problem]:
    """Why a history was not written by this part; nothing of one that cannot be read: it becomes a row."""
    folder, part = one.folder / said.run, one.part
    try:
        header = header_in(_believed(one.folder, folder / "events.jsonl").partition(b"\n")[0])
    except BadInput as error:
        yield from error.problems
        return
    except OSError:
        return
    if header is None:
        return
    found = {
        "scenario": (Path(header.scenario).stem, said.name),
        "time scale": (f"{header.time_scale:g}", f"{part.time_scale:g}"),
        "--seed": (str(header.seed), str(part.seed)),
        "--set": (shlex.join(header.settings), shlex.join(part.settings)),
        **{name: (header.versions.get(name, ""), part.versions.get(name, "")) for name in _PROGRAMS},
    }
    texts = digests(header.sources)
    found |= {key: (digest, part.sources.get(key, "none")) for key, digest in texts.items()}
    wrong = [f"{what} {its} in place of {ours}" for what, (its, ours) in found.items() if its != ours]
    if header.t < part.began - _CLOCK_S:
        wrong.append(f"it began {part.began - header.t:.0f} s before the part")
    if wrong:
        yield Problem(Place(str(folder)), f"its history is of another gate: {'; '.join(wrong)}", "play this part again")
