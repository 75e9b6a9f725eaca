"""The subject of a verdict's row: the five timed hops from a fault to a receiver and back, and all else that is owed.

    fault ──detect──> pending ──hold──> firing ──notify──> receiver
    undo  ──clear───> resolved ──all-clear──> receiver

Beside them stand what is promised from one end to the other, and of labels, mutes, groups and repeats.

JSON, tables and pages spell a hop as its value. All properties of a hop are kept here.
"""

from __future__ import annotations

from enum import Enum, StrEnum


class Lane(Enum):
    """The lane of a report in which a hop is drawn."""

    RUN = "the run"
    ALERT = "the alert itself"
    RECEIVER = "a receiver"
    FINDING = "what else happened"


class Hop(StrEnum):
    """One kind of row.

    lane            where a report draws it
    excusable       whether what was not watched, or too slow, may stand behind a failure; what came wrong has no excuse
    since           a timed one: where its clock starts, for people
    start           what must have been seen for its clock to start
    did             what happens at its end
    scripted        whether scripted series, without load, fault or service, tell anything of it
    only_failures   whether a verdict hides its rows that pass, which are made all the same, as the checklist rests on
                    them; not for a check that yields nothing when all is well
    """

    lane: Lane
    excusable: bool
    since: str
    start: str
    did: str
    scripted: bool
    only_failures: bool

    STEADY = "steady", Lane.RUN
    CONFIGURATION = "configuration", Lane.RUN
    SCENARIO = "scenario", Lane.RUN
    TEST = "test", Lane.RUN
    HOURS = "hours", Lane.RUN
    LOAD = "load", Lane.RUN, False, "", "", "", False
    LIMIT = "limit", Lane.RUN, False, "", "", "", False
    EXIT_CODE = "exit-code", Lane.RUN, False, "", "", "", False
    EFFECT = "effect", Lane.RUN
    CLOCK = "clock", Lane.RUN
    END = "end", Lane.RUN
    DETECT = "detect", Lane.ALERT, True, "the fault", "the fault's effect", "became pending", False
    HOLD = "hold", Lane.ALERT, True, "pending", "pending", "fired"
    CLEAR = "clear", Lane.ALERT, True, "the undo", "firing, or the undo,", "resolved"
    SUPPRESSED = "suppressed", Lane.ALERT, True
    RECEIVED = "received", Lane.ALERT, True, "", "", "", True, True
    GROUPED = "grouped", Lane.ALERT, False, "", "", "", True, True
    NOTIFY = "notify", Lane.RECEIVER, True, "firing", "firing", "was notified"
    AFTER_SILENCE = (
        "after-silence",
        Lane.RECEIVER,
        True,
        "the silence's end",
        "the silence's end, or firing,",
        "was notified",
    )
    ALL_CLEAR = "all-clear", Lane.RECEIVER, True, "resolved", "a notice, or the resolve,", "heard the all-clear"
    NEVER = "never", Lane.ALERT, True
    LABELS = "labels", Lane.ALERT
    MUTED_BY = "muted-by", Lane.ALERT, True
    FAULT_TO_PHONE = "fault-to-phone", Lane.RECEIVER, True, "the fault", "the fault's effect", "reached the receiver"
    UNDO_TO_ALL_CLEAR = (
        "undo-to-all-clear",
        Lane.RECEIVER,
        True,
        "the undo",
        "a notice, or the undo,",
        "heard the all-clear",
    )
    GROUPED_BY = "grouped-by", Lane.RECEIVER
    RECIPIENTS = "recipients", Lane.RECEIVER
    RESOLVED = "resolved", Lane.RECEIVER, True
    REPEAT = "repeat", Lane.RECEIVER, True
    CONTENT = "content", Lane.RECEIVER
    NOTICES = "notices", Lane.RECEIVER, True
    FINDING = "finding", Lane.FINDING, True

    def __new__(
        cls, spelled: str, lane: Lane, excusable: bool = False, since: str = "", start: str = "", did: str = "",
        scripted: bool = True, only_failures: bool = False,
    ) -> Hop:  # fmt: skip
        """A member of these attributes, spelled so."""
        hop = str.__new__(cls, spelled)
        hop._value_, hop.lane, hop.excusable, hop.scripted = spelled, lane, excusable, scripted
        hop.since, hop.start, hop.did, hop.only_failures = since, start, did, only_failures
        return hop

    @property
    def timed(self) -> bool:
        """Whether the hop is judged against a window."""
        return bool(self.since)

    @property
    def never(self) -> str:
        """The words for a hop that did not come: `never fired`, `was never notified`."""
        verb, _, rest = self.did.partition(" ")
        return f"was never {rest}" if verb == "was" else f"never {self.did}"
