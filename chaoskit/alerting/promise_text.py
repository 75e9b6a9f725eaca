"""A promise as the text of its file, and why each of its figures is promised, which comments in that file say.

    # documented: the alert table of the design      people were told so
    # decided here: two heartbeats and a look        nothing was told; the reason says why it is so
    # computed, not promised yet                     taken from the configuration, for a person to review

A comment counts for the line that it ends, or for the entry below it with all that this entry holds; the nearest one
counts. Only what is documented or decided is promised: what a program wrote down breaks with nothing but itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import yaml

from chaoskit.alerting.model import Promise, of_role
from chaoskit.alerting.promise_schema import FORMAT
from chaoskit.errors import Place
from chaoskit.units import format_duration
from chaoskit.yaml_source import Node, read

COMPUTED = "computed, not promised yet"
DOCUMENTED, DECIDED = "documented", "decided here"
_MARK = re.compile(rf"(?:^|\s)#+\s*({DOCUMENTED}|{DECIDED}):\s*\S|(?:^|\s)#+\s*({COMPUTED})")


def reasons(lines: Iterable[str]) -> list[str]:
    """For each line of a promise file DOCUMENTED, DECIDED or COMPUTED, which counts for its figures; empty where no
    comment says."""
    found: list[str] = []
    holders: list[tuple[int, str]] = []
    """The entries that hold the line, by their indents, and the reason of each."""
    above = ""
    for line in lines:
        if line.lstrip().startswith("#"):
            above = _mark(line) or above
        elif line.strip():
            indent = len(line) - len(line.lstrip())
            while holders and holders[-1][0] >= indent:
                holders.pop()
            holders.append((indent, _mark(line) or above or (holders[-1][1] if holders else "")))
            above = ""
        found.append(holders[-1][1] if holders else "")
    return found


def _mark(line: str) -> str:
    found = _MARK.search(line)
    return (found[1] or found[2]) if found else ""


def figures(root: Node) -> Iterator[tuple[tuple[str, ...], Place]]:
    """The keys down to each entry of figures in a promise file, and its place."""
    for section, node in root.pairs:
        if section.raw == "alerts":
            for alert, entry in node.pairs:
                for key, value in entry.pairs:
                    notices = value.pairs if key.raw == "notices" else ()
                    yield from (((section.raw, alert.raw, key.raw, to.raw), to.place) for to, _ in notices)
                    if key.raw != "notices":
                        yield (section.raw, alert.raw, key.raw), key.place
        elif section.raw != "chaoskit":
            for name, _ in node.pairs:
                yield (section.raw, name.raw), name.place
            if node.kind != "mapping":
                yield (section.raw,), section.place


def not_yet_promised(sources: Mapping[str, str]) -> dict[str, Place]:
    """By alert: the first of its figures that is neither documented nor decided; empty where no promise was shown."""
    found: dict[str, Place] = {}
    for file, text in of_role(sources, "promise"):
        found = {**_unsaid(text, file), **found}
    return found


@lru_cache(maxsize=16)
def _unsaid(text: str, file: str) -> Mapping[str, Place]:
    """As `not_yet_promised`, of one text; of configurations with the same promise it is asked once."""
    found: dict[str, Place] = {}
    said = reasons(text.split("\n"))
    for keys, place in figures(read(text, file)):
        if keys[0] == "alerts" and said[place.line - 1] not in (DOCUMENTED, DECIDED):
            found.setdefault(keys[1], place)
    return found


def promise_text(promise: Promise, mark: str = "") -> str:
    """The promise as the text of a promise file, with this comment above every entry."""
    times = {} if promise.delivery_s is None else {"delivery": format_duration(promise.delivery_s)}
    runbook = {"runbook": promise.runbook_base} if promise.runbook_base else {}
    text = "".join(_dump({key: value}, "") for key, value in {"chaoskit": FORMAT, **times, **runbook}.items())
    sections: dict[str, dict[str, Any]] = {
        "receivers": {
            name: {
                "recipients": list(each.recipients),
                "resolved": each.resolved,
                "integrations": list(each.integrations),
                **({} if each.at is None else {"at": list(each.at)}),
            }
            for name, each in promise.receivers.items()
        },
        "jobs": {
            name: {
                "scrape": format_duration(each.seconds),
                **({"timeout": format_duration(promise.timeouts[name].seconds)} if name in promise.timeouts else {}),
                **({"at": list(promise.targets[name].at)} if name in promise.targets else {}),
                **({"labels": list(promise.added[name])} if name in promise.added else {}),
            }
            for name, each in promise.jobs.items()
        },
        "groups": {name: {"interval": format_duration(each.seconds)} for name, each in promise.groups.items()},
        "volume": {day: str(each) for day, each in promise.volume.items()},
        "alerts": _alerts(promise),
    }
    comment = f"  # {mark}\n" if mark else ""
    if promise.alertmanagers is not None:
        text += comment.lstrip() + _dump({"alertmanagers": list(promise.alertmanagers.at)}, "")
    for key, entries in sections.items():
        if entries:
            text += f"{key}:\n" + "".join(comment + _dump({name: one}, "  ") for name, one in entries.items())
    return text


def _alerts(promise: Promise) -> dict[str, dict[str, Any]]:
    notices: dict[str, dict[str, Any]] = {}
    for (alert, receiver), each in sorted(promise.notices.items()):
        notices.setdefault(alert, {})[receiver] = {
            "for": format_duration(each.for_s),
            "group_wait": format_duration(each.group_wait_s),
            **({} if each.group_interval_s is None else {"group_interval": format_duration(each.group_interval_s)}),
            "repeat": format_duration(each.repeat_s),
            **({} if each.grouped_by is None else {"grouped_by": list(each.grouped_by)}),
        }
    names = sorted({*notices, *promise.appears_s, *promise.clears_s, *promise.alerts})
    return {name: _alert(promise, name, notices.get(name, {})) for name in names}


def _alert(promise: Promise, name: str, notices: dict[str, Any]) -> dict[str, Any]:
    delays = (("appears", promise.appears_s), ("clears", promise.clears_s))
    found: dict[str, Any] = {key: format_duration(some[name]) for key, some in delays if name in some}
    beside = promise.alerts.get(name)
    if beside is not None:
        found |= {"labels": dict(beside.labels)} if beside.labels else {}
        found |= {"levels": {"quiet": beside.levels.quiet, "fires": beside.levels.fires}} if beside.levels else {}
        bounds = (("phone", beside.phone), ("all_clear", beside.all_clear))
        found |= {key: {to: format_duration(each.seconds) for to, each in some.items()} for key, some in bounds if some}
        found |= {"muted_by": list(beside.muted_by)} if beside.muted_by is not None else {}
        found |= {"muted_within": list(beside.muted_within)} if beside.muted_within is not None else {}
        found |= {"hours": beside.hours} if beside.hours else {}
    return found | ({"notices": notices} if notices else {})


def _dump(value: Any, indent: str) -> str:
    flat = not any(isinstance(each, dict | list) for each in value.values())
    text: str = yaml.safe_dump(
        value, sort_keys=False, width=110, allow_unicode=True, default_flow_style=False if flat else None
    )
    return "".join(f"{indent}{line}\n" for line in text.splitlines())
