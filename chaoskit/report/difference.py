"""A difference on a terminal: broken promises first, then changes by receiver, alike changes told together."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from chaoskit.diff.model import KINDS, NEVER, Difference
from chaoskit.diff.output import Together, sentence, together
from chaoskit.diff.prometheus import EVERY
from chaoskit.report.text import clean
from chaoskit.units import amount

NOTHING = "no difference: every receiver gets the same notices, at the same times, in the same words"
_STYLES = {"removed": "red", "lost": "red", "added": "green", "gained": "green"}


def difference_view(difference: Difference) -> RenderableType:
    """The whole difference, ready to print."""
    if difference.empty:
        return Text(NOTHING, style="green")
    return Group(*_parts(difference))


def _parts(difference: Difference) -> Iterator[RenderableType]:
    if difference.broken:
        yield Text("Promises that this breaks", style="bold red")
        for broken in difference.broken:
            whose = "" if broken.whose == "new" else ", as the old promise has it"
            yield _item(f"{broken.message}{whose}  {broken.place}", "red")
        yield Text("")
    told = together(difference.changes)
    for kind, what in KINDS.items():
        some = [each for each in told if each.change.kind == kind]
        if some:
            yield Text(what[0].upper() + what[1:], style="bold")
            for each in some:
                yield _item(_line(each), _STYLES.get(kind, "red" if each.change.new == NEVER else ""))
    if difference.doubts:
        yield Text("Not decided by the texts", style="bold yellow")
        for doubt in difference.doubts:
            yield _item(f"cannot tell: {doubt.message}  {doubt.place}", "yellow")
    if difference.mended:
        yield Text("")
        yield Text("Promises that this mends", style="bold green")
        for message in difference.mended:
            yield _item(message, "")
    yield Text("")
    alerts = len({each.alert for each in difference.changes if each.alert})
    broken_ = len(difference.broken)
    every = any(each.what.startswith(EVERY) for each in difference.changes)
    count = "all alerts" if every else amount(alerts, "alerts")
    doubts = f", {amount(len(difference.doubts), 'differences')} of unknown effect" if difference.doubts else ""
    yield Text(f"{count} differ for people, {broken_ or 'no'} promise(s) broken{doubts}")


def _line(each: Together) -> str:
    place = f"  {each.change.place}" if each.change.place else ""
    return f"{sentence(each)}{place}"


def _item(text: str, style: str) -> RenderableType:
    return Padding(Text(clean(text), style=style), (0, 0, 0, 2))
