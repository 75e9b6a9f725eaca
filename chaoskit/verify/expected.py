"""Every row that a verdict owes, derived from the plan, so that no expectation drops out of it without a word.

    the run      steady, load where there is any, its limits and its locustfile's exit code, effect of each fault and
                 action, finding, each bound on its volume
    an alert     detect, hold, clear; suppressed
    a receiver   notify, all-clear, content, notices; where nothing could show them, the rows that say so

A judge of a hop may skip it or break; what is owed and has no row then is UNKNOWN, here and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from chaoskit.plan.model import Plan, PlannedAlert, PlannedNotice
from chaoskit.scenario.model import Change, Do, Inject
from chaoskit.verify.outside import witnessed_as
from chaoskit.verify.requests import limit_name
from chaoskit.verify.verdict import Result, Row

Owed = tuple[str, str, str]
"""About, hop, receiver: what a row is told by."""
NOTHING_ELSE = "nothing else"


def owed(plan: Plan, abouts: Sequence[tuple[PlannedAlert, Sequence[str]]]) -> Iterator[Owed]:
    """Expectations that must have a row; once for each row. `abouts`: the names of each alert's instances in rows."""
    yield "before the fault", "steady", ""
    if plan.profile.load.given:
        yield "load", "load", ""
        yield from ((limit_name(limit), "limit", "") for limit in plan.profile.load.fail_if)
        if plan.profile.load.locustfile is not None:
            yield "locustfile", "exit-code", ""
    for planned in plan.steps:
        if isinstance(planned.step, Inject):
            yield from ((named(fault.spec.kind, fault.targets), "effect", "") for fault in planned.faults)
        elif isinstance(planned.step, Do | Change):
            yield f"step {planned.step.name}", "effect", ""
    for alert, names in abouts:
        for about in names:
            yield from ((about, hop, to) for hop, to in _of_alert(alert))
        yield from ((alert.rule.alert, "notify", witnessed_as(name)) for name in alert.unwitnessed)
    yield NOTHING_ELSE, "finding", ""
    yield from ((f"notices {name}", "finding", "") for name in plan.scenario.notices)


def _of_alert(alert: PlannedAlert) -> Iterator[tuple[str, str]]:
    yield from (("detect", ""), ("hold", ""), ("clear", ""))
    if alert.expectation.suppressed_by is not None:
        yield "suppressed", ""
    for notice in alert.notices:
        yield from ((hop, notice.to) for hop in hops_of(notice))
    for one in alert.unproved:
        yield from ((hop, one.to) for hop in one.hops)


def hops_of(notice: PlannedNotice) -> tuple[str, ...]:
    """The judgement at one door of a receiver."""
    wanted = {
        "notify": True,
        "all-clear": notice.all_clear is not None or notice.no_all_clear is not None,
        "content": notice.ask.mode != "never",
        "notices": notice.ask.notices is not None,
    }
    return tuple(hop for hop, asked in wanted.items() if asked)


def named(kind: str, targets: Sequence[str]) -> str:
    """A fault in rows, as `process.kill worker-1`."""
    return f"{kind} {', '.join(targets)}"


def unproved_rows(alert: PlannedAlert, about: str) -> list[Row]:
    """The rows of what nothing could show: FAIL where the configuration alone breaks the promise."""
    return [
        Row(
            about=about,
            hop=hop,
            to=one.to,
            result=Result.FAIL if one.broken else Result.UNKNOWN,
            reason=f"{about}, {hop}: {one.reason}",
        )
        for one in alert.unproved
        for hop in one.hops
    ]


def not_judged(owing: Sequence[Owed], rows: Sequence[Row], why: str) -> list[Row]:
    """UNKNOWN for whatever is owed and has no row; `why` says what kept it from being judged."""
    there = Counter((row.about, row.hop, row.to) for row in rows)
    there[NOTHING_ELSE, "finding", ""] += any(row.hop == "finding" for row in rows)
    lacking = Counter(owing) - there
    return [
        Row(
            about=about,
            hop=hop,
            to=to,
            result=Result.UNKNOWN,
            reason=f"not judged: {about}, {hop}{to and f' at {to}'}: {why}",
        )
        for (about, hop, to), times in lacking.items()
        for _ in range(times)
    ]
