"""A difference as data: nouns without behaviour.

The one idea: a change is said once for each alert and receiver, with what was and what is, so that equal changes of
many alerts can be told together and an empty list means that no receiver notices a difference.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaoskit.errors import Place

NEVER = "never"


@dataclass(frozen=True, slots=True)
class Change:
    """One change that people on call notice. `kind` is one of KINDS."""

    kind: str
    alert: str
    """The alert that changed; "" where a receiver or everything did."""
    receiver: str
    """The receiver that is told differently; "" where no single one is meant."""
    what: str
    """The thing that changed, as people call it: `from fault to phone`."""
    old: str
    new: str
    why: str
    """The setting that caused the change; "" where `old` and `new` say it all."""
    place: Place | None
    """Where to look: in the new configuration, or in the old one where it is gone there."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that the old configuration kept and the new one does not."""

    message: str
    place: Place
    whose: str
    """Which configuration's promise is broken: `old` or `new`."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something that differs of which the texts do not tell whether people notice it."""

    message: str
    """The open question, and the difference behind it: `which alerts see other series: scrape job crm params: ...`."""
    place: Place


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that people notice; empty changes, nothing broken and no doubt mean: nothing at all."""

    changes: tuple[Change, ...]
    broken: tuple[Broken, ...]
    mended: tuple[str, ...]
    """Departures from the promise that the new configuration no longer has."""
    doubts: tuple[Doubt, ...] = ()
    unread: bool = False
    """Whether something of either side is wrong and left out, which the doubts then tell."""

    @property
    def empty(self) -> bool:
        return not (self.changes or self.broken or self.mended or self.doubts)


KINDS = {
    "added": "an alert that the old configuration lacks",
    "removed": "an alert that is gone",
    "renamed": "an alert under another name",
    "severity": "the severity that an alert's labels tell",
    "condition": "what makes it fire",
    "lost": "a receiver that no longer hears of the alert",
    "gained": "a receiver that newly hears of the alert",
    "time": "how long it takes until a phone rings",
    "all-clear": "whether and when the alert's end is told",
    "repeat": "how often the same alert is notified again",
    "grouping": "what is told together",
    "quiet": "when a receiver is left in peace",
    "mute": "which alerts hold it back",
    "labels": "other labels that go out with the alert",
    "text": "what the notice says",
    "scrape": "how often a job is scraped",
    "receiver": "where a receiver's notices go",
}
"""Every kind of change, in the order in which they are told."""
