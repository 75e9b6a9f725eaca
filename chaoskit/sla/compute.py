"""A window's results from the store: every level of every environment, by the targets that were in force at its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from chaoskit.errors import BadInput, Problem
from chaoskit.sla.arithmetic import Evidence, judge
from chaoskit.sla.model import SETTLED_S, Result, Window
from chaoskit.sla.store import Store
from chaoskit.sla.targets import Level, Targets, parse_targets
from chaoskit.sla.windows import months_of
from chaoskit.yaml_source import nearest


def compliance(
    store: Store, targets: Targets, window: Window, *, now: int, environments: Iterable[str] = ()
) -> list[Result]:
    """The results of a window on both bases, the contract's first, from the store alone; empty for an empty store.

    A window that is not over is judged as far as it was recorded. Raises BadInput for an unknown environment.
    """
    found = []
    targets = in_force(store, targets, window, now)
    final = window.ends_at + SETTLED_S <= now
    for environment in known(store, environments):
        since = targets.in_service_since
        since = (store.first_seen(environment) or window.ends_at) if since is None else since
        planned = store.planned(environment, months_of(window)[0].starts_at, window.ends_at)
        for level in targets.levels:
            key = evidence_key(store, level)
            recorded = store.recorded(environment, key)
            evidence = Evidence(
                store.slices(environment, key, window.starts_at, window.ends_at),
                store.buckets(environment, key, window.starts_at, window.ends_at) if level.kind == "latency" else (),
                planned,
            )
            end = window.ends_at if final else min(window.ends_at, recorded[1] if recorded else 0)

            on = partial(
                judge,
                level,
                window,
                evidence,
                environment=environment,
                since=since,
                settled=end,
                final=final,
                cap_s=targets.planned_cap_s,
                spec_hash=targets.spec_hash,
            )
            contract = on(basis="contract")
            # Where nothing was planned the two are one.
            found += [contract, on(basis="all") if planned else replace(contract, basis="all")]
    return found


def known(store: Store, asked: Iterable[str] = ()) -> list[str]:
    """The environments asked for, else all that there is evidence of; raises BadInput with the nearest name."""
    there = store.environments()
    wrong = [one for one in asked if one not in there]
    if wrong:
        said = f"known: {', '.join(there)}" if there else "nothing was recorded yet: `chaoskit sla record`"
        raise BadInput(
            Problem(None, f"there is no evidence of an environment '{one}'", nearest(one, there) or said)
            for one in wrong
        )
    return list(asked) or there


def recorded_to(store: Store, environments: Iterable[str] = ()) -> int | None:
    """Up to where these environments were recorded; None where none was."""
    ends = (one[1] for name in known(store, environments) if (one := store.recorded(name)) is not None)
    return max(ends, default=None)


def remember(store: Store, targets: Targets, now: int) -> None:
    """Keeps the text of targets, and since when it is in force."""
    store.set_meta(f"targets/{targets.spec_hash}", targets.text, keep=True)
    since = store.metas("in-force/")
    if not since or since[max(since)] != targets.spec_hash:
        store.set_meta(f"in-force/{now:012d}", targets.spec_hash, keep=True)


def in_force(store: Store, targets: Targets, window: Window, now: int) -> Targets:
    """The targets by which a window is judged: those in force at its end, or the first ones where it is older.

    A text that no recorder has seen yet is in force from now on.
    """
    since = {int(at): spec_hash for at, spec_hash in store.metas("in-force/").items()}
    if not since or since[max(since)] != targets.spec_hash:
        since[now] = targets.spec_hash
    chosen = since[max((at for at in since if at <= window.ends_at), default=min(since))]
    text = None if chosen == targets.spec_hash else store.meta(f"targets/{chosen}")
    return targets if text is None else parse_targets(text, targets.file, offline=True)


def evidence_key(store: Store, level: Level) -> str:
    """Under which name a level's evidence is kept: its own, unless other evidence was kept under it before."""
    kept = store.metas("evidence/")
    by_key = {evidence: key for key, evidence in kept.items()}
    if level.evidence in by_key:
        return by_key[level.evidence]
    number = 1 + sum(key == level.name or key.startswith(f"{level.name}@") for key in kept)
    return level.name if number == 1 else f"{level.name}@{number}"
