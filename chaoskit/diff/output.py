"""A difference for machines: JSON, the workflow commands that GitHub shows beside the lines, and Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from chaoskit.check.output import workflow_command
from chaoskit.diff.model import KINDS, NEVER, Change, Difference
from chaoskit.errors import Place
from chaoskit.markdown import document, folded, plain, table
from chaoskit.units import amount, listed

_MOST = 12
"""Changes of Markdown that are not folded."""
_NAMES = 3
"""Alerts that a sentence names."""


def to_json(difference: Difference) -> str:
    """One JSON object: changes one by one, broken and mended promises, and `different`: whether there is any."""
    return json.dumps(
        {
            "different": not difference.empty,
            "changes": [asdict(each) for each in difference.changes],
            "broken": [
                {"message": each.message, "promise": each.whose, "place": asdict(each.place)}
                for each in difference.broken
            ],
            "mended": list(difference.mended),
            "cannot_tell": [asdict(each) for each in difference.doubts],
        },
        indent=2,
        ensure_ascii=False,
    )


def to_github(difference: Difference) -> Iterator[str]:
    """A command for each difference; a broken promise is an error, a lost notice a warning."""
    for broken in difference.broken:
        yield workflow_command("error", broken.place, "promise broken", broken.message)
    for doubt in difference.doubts:
        yield workflow_command("warning", doubt.place, "cannot tell", doubt.message)
    for each in together(difference.changes):
        level = "warning" if each.change.new == NEVER or each.change.kind in ("removed", "lost") else "notice"
        yield workflow_command(level, each.change.place or Place(""), each.change.kind, sentence(each))


def to_markdown(difference: Difference) -> str:
    """The changes as a comment on a pull request: broken promises, changes by receiver.

    Every change with its reason folded.
    """
    told = together(difference.changes)
    alerts = len({each.alert for each in difference.changes if each.alert})
    broken = amount(len(difference.broken), "promises")
    head = ["## chaoskit diff", ""]
    if difference.empty:
        return document([*head, "Nothing changes for people: they hear of the same, at the same times.", ""], [])
    head += [f"{amount(alerts, 'alerts')} differ for people; {broken} broken.", ""]
    parts = [_listed("Promises that this breaks", [(each.message, each.place) for each in difference.broken])]
    parts.append(_listed("Not decided by the texts", [(each.message, each.place) for each in difference.doubts]))
    first = [f"- {plain(sentence(each))}" for each in told[:_MOST]]
    more = [f"- and {len(told) - _MOST} more, below"] if len(told) > _MOST else []
    parts.append([*(["**Changes by receiver**", ""] if told else []), *first, *more, ""])
    for kind, what in KINDS.items():
        rows = [
            (
                plain(c.receiver or "–"),
                plain(listed(each.alerts, _NAMES)),
                plain(c.what),
                plain(c.old),
                plain(c.new),
                _why(c),
            )
            for each in told
            if (c := each.change).kind == kind
        ]
        parts.append(folded(f"{what} ({len(rows)})", table(("who", "alerts", "what", "before", "after", "why"), rows)))
    parts.append(_listed("Promises that this mends", [(each, None) for each in difference.mended]))
    return document(head, parts)


def _listed(title: str, said: Sequence[tuple[str, Place | None]]) -> list[str]:
    items = [f"- {plain(text)}{f' ({plain(str(place))})' if place else ''}" for text, place in said]
    return [f"**{title}**", "", *items, ""] if items else []


def _why(change: Change) -> str:
    return plain("; ".join(part for part in (change.why, str(change.place or "")) if part))


@dataclass(frozen=True, slots=True)
class Together:
    """Changes that differ in nothing but the alert, told as one."""

    change: Change
    alerts: tuple[str, ...]


def together(changes: Iterable[Change]) -> tuple[Together, ...]:
    """The changes in their order; the same change of several alerts becomes one entry with all of them."""
    by: dict[tuple[str, ...], list[Change]] = {}
    for each in changes:
        alike = (each.kind, each.receiver, each.what, each.old, each.new, each.why)
        key = (*alike, each.alert) if each.kind in ("added", "removed", "renamed") else alike
        by.setdefault(key, []).append(each)
    return tuple(Together(some[0], tuple(dict.fromkeys(each.alert for each in some))) for some in by.values())


def sentence(each: Together) -> str:
    """One sentence: the alerts and the receiver, the change, and why."""
    change = each.change
    if change.kind == "added":
        return f"{change.alert} is new; it is told to: {change.new}"
    if change.kind == "removed":
        return f"{change.alert} is gone; it was told to: {change.old}"
    if change.kind == "renamed":
        return f"{change.old} is now called {change.alert}"
    if change.kind in ("gained", "lost") and not change.receiver:
        became = "sent now, not before" if change.kind == "gained" else "no longer sent"
        return f"{change.what}: {became} ({change.why})"
    if change.kind == "mute":
        return f"{listed(each.alerts, _NAMES)}: {_mute(change)}"
    subject = " -> ".join(part for part in (listed(each.alerts, _NAMES), change.receiver) if part)
    why = f" ({change.why})" if change.why else ""
    lead = f"{subject}: " if subject else ""
    return f"{lead}{change.what}{': ' if change.what else ''}{change.old} becomes {change.new}{why}"


def _mute(change: Change) -> str:
    if change.new == "no":
        return f"no longer {change.what}"
    if change.what.endswith(" where"):
        return f"{change.what} {change.old} becomes where {change.new}"
    perhaps = "" if change.new == "yes" else f" {change.new}"
    if change.old == "no":
        return f"now {change.what}{perhaps}"
    return f"{change.what}{perhaps or ' in any case'}, before {'in any case' if change.old == 'yes' else change.old}"
