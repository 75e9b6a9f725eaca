"""What unit tests say of scripted series beyond who must be told: annotations, and when nothing may fire."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chaoskit.hop import Hop
from chaoskit.verify.case import Case
from chaoskit.verify.check import Check, Strict, broken, kept

_NUMBER = re.compile(
    r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?:ns|us|µs|ms|[smhdywkMGTPE%])*(?:\s?\d+[smhdw])*",
    re.IGNORECASE,
)
_JITTER_REAL_S = 0.2
_MOST = 160


def _texts(case: Case) -> Iterator[Strict]:
    """A row for each alert whose annotations were told."""
    for each in case.rehearsal.texts if case.rehearsal else ():
        wrong: dict[str, str] = {}
        compared = 0
        for notice in case.evidence.notices:
            for item in notice.alerts:
                if not item.annotations or any(item.labels.get(k) != v for k, v in each.labels.items()):
                    continue
                compared += 1
                for key in sorted(each.annotations.keys() | item.annotations.keys()):
                    said, wanted = item.annotations.get(key, ""), each.annotations.get(key, "")
                    if _words(said) != _words(wanted):
                        wrong[key] = f"{key} says {_short(said)}, the test expects {_short(wanted)}"
        alert = each.labels["alertname"]
        if wrong:
            yield broken(Hop.CONTENT, alert, f"{alert}: {'; '.join(wrong.values())} ({each.place})")
        elif compared:
            yield kept(Hop.CONTENT, alert, f"exp_annotations in {compared} notices")


def _words(text: str) -> str:
    """The text without its numbers, which depend on how often series are scraped, and without its line breaks."""
    return " ".join(_NUMBER.sub("#", text).split())


def _short(text: str) -> str:
    words = " ".join(text.split())
    return f"'{words}'" if len(words) <= _MOST else f"'{words[:_MOST]}…'"


def _quiet(case: Case) -> Iterator[Strict]:
    """A row for each alert that fired when none might."""
    begun = next(iter(case.evidence.faults.effects.values()), None)
    if case.rehearsal is None or begun is None:
        return
    slack_s = case.rehearsal.late_vs / case.scale + _JITTER_REAL_S
    for quiet in case.rehearsal.quiet:
        at = begun[0] + quiet.at_vs / case.scale
        low, high = at - slack_s, at + begun[1] - begun[0] + slack_s
        for episode in case.evidence.episodes:
            if episode.name != quiet.alert or episode.firing is None or episode.firing[1] >= low:
                continue
            if episode.resolved is None or episode.resolved[0] > high:
                since = (at - episode.firing[1]) * case.scale
                what = f"it had been firing for {since:.0f} s when the test expects none"
                yield broken(Hop.HOLD, quiet.alert, f"{quiet.alert}: {what} ({quiet.place})")
                break


UNIT_TESTS = (Check("the tests' annotations", Case, _texts), Check("when nothing may fire", Case, _quiet))
