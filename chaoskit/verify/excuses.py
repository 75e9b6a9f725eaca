"""Why a hop that looks broken may not be the alert's failure: what we ourselves did, missed, or held up.

Each answer is a few words for the sentence that says UNKNOWN; an empty one means that there is no excuse.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaoskit.alerting.windows import Window
from chaoskit.events import Interval
from chaoskit.verify import processor, sentences
from chaoskit.verify.evidence import TARGET, Episode, Evidence, Outage

FLAP_REAL_S = 2.0
"""Real seconds before an alert resolved in which the scrapes lie whose samples it then lacks."""
_RETRY_REAL_S = 10.0
"""Real seconds for which Alertmanager at least tries one delivery again."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """When the clocks of an instance start: the fault's effect, and its undo; None where that was not seen."""

    fault: Interval | None
    undo: Interval | None
    ended: tuple[float, str] | None = None
    """The earliest instant at which we may have ended the fault, and what did."""
    lapsed: str = ""
    """Why the effect ended by itself at an instant that nobody knows; empty where it did not."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One hop of the instance, `to` a receiver or empty; `needs` is the equipment without which it is not seen."""

    name: str
    to: str
    window: Window
    needs: tuple[str, ...]
    setting: str
    can_come: bool = True
    """Whether what was not seen could have come at all: no route of the configuration may lead to the receiver."""


@dataclass(frozen=True, slots=True)
class Excuses:
    """The excuses that the evidence holds for the hops of one instance."""

    evidence: Evidence
    scale: float
    anchors: Anchors
    end_of_watch: float
    every_s: float
    """Real seconds between two evaluations of the alert's rule."""

    def late(self, hop: Hop, group: tuple[str, ...], start: Interval, seen: Interval, late_vs: float) -> str:
        """What of our own equipment may have made it so; empty where nothing did.

        `group`: the sinks of the same receiver's integrations, which its group waits for.
        """
        equipment = hop.needs + group
        outage = self.evidence.outage(equipment, start[0] - _RETRY_REAL_S, seen[1])
        if outage is not None:
            return self._was_down(outage, hop, start)
        if stood := self._stood_still(hop, start[0], seen[1]):
            return f"{stood} meanwhile"
        if late_vs <= 0:
            # Nothing comes too early for want of a processor, save the end of an alert that flaps: of one whose
            # samples are missing since the scrapes just before took too long.
            before = min(start[0], seen[0] - FLAP_REAL_S)
            return self.starved(hop, before, seen[1]) if hop.name == "clear" else ""
        for sink in (observer for observer in hop.needs if observer in self.evidence.witnesses):
            blind = self.evidence.blind_from(sink, start[1], seen[0])
            if blind is not None:
                since = sentences.s((blind - start[1]) * self.scale)
                return f"{sink} was not watched from {since} on and may have missed an earlier one"
        late_s = late_vs / self.scale
        silent = self.evidence.silence(equipment, start[0], seen[1])
        if silent is not None and late_s <= silent.lasted_s(seen[1]) + _RETRY_REAL_S:
            lasted = silent.lasted_s(seen[1])
            return f"{silent.equipment} answered nobody for {lasted:.1f} real s meanwhile ({silent.detail})"
        away = self._away(equipment, start[0], seen[1])
        if away is not None and late_s <= away.lasted_s(seen[1]) + _RETRY_REAL_S:
            return self._held_up(away, seen[1])
        lag_s, sink = self.evidence.lag(equipment, start[0], seen[1])
        if late_s <= lag_s:
            return f"the {sink} stood still for up to {lag_s:.2f} real s meanwhile, and who waits for it speaks later"
        way_s = processor.on_the_way_s(self.evidence.processor, self.every_s, start[0], seen[1], self.scale)
        if hop.to and late_s <= way_s:
            return (
                "this machine was busy: on the way of the notice Prometheus and Alertmanager waited for a processor "
                f"for up to {way_s:.2f} real s"
            )
        return self.starved(hop, start[0], seen[1])

    def _was_down(self, outage: Outage, hop: Hop, start: Interval) -> str:
        """Which equipment was down, from when to when after the hop's beginning, and why."""

        def after(at: float) -> str:
            return sentences.s((at - start[1]) * self.scale)

        begin = f"{after(outage.begin)} after" if outage.begin > start[1] else "before"
        end = "on" if outage.end is None else f"to {after(outage.end)} after it"
        return f"{outage.equipment} was down from {begin} {sentences.SINCE[hop.name]} {end} ({outage.detail})"

    def _stood_still(self, hop: Hop, begin: float, end: float) -> str:
        """Which processes of the target stood still, by none of our doing."""
        stood = self.evidence.stopped((TARGET,), begin, end) if TARGET in hop.needs else ""
        return f"{stood} stood still" if stood else ""

    def _away(self, equipment: tuple[str, ...], begin: float, end: float) -> Outage | None:
        """When one of the sinks among this equipment was not looking; a delivery is tried for a while after that."""
        sinks = tuple(one for one in equipment if one in self.evidence.witnesses)
        return self.evidence.away(sinks, begin - _RETRY_REAL_S, min(end, self.end_of_watch))

    def _held_up(self, away: Outage, end: float) -> str:
        """Alertmanager begins with a group's next notice when every integration has taken, or refused, the last."""
        return (
            f"the {away.equipment} was not watched for {away.lasted_s(end):.1f} real s meanwhile ({away.detail}), and "
            "Alertmanager tells no integration of a receiver of what is new before it is done with the others"
        )

    def starved(self, hop: Hop, begin: float, end: float) -> str:
        """Whether the machine left the equipment, or the target, too little processor time in between.

        What cannot come is not late for want of a processor.
        """
        if not hop.can_come:
            return ""
        return processor.starved(self.evidence.processor, (*hop.needs, "target"), begin, end, self.scale)

    def clocks(self, hop: Hop, start: Interval) -> str:
        """What of an uncertainty is that of the clocks, where it is most of what the hop can bear."""
        skew = self.evidence.clock.skew(start[0])
        share_vs = (skew[1] - skew[0]) * self.scale
        if hop.name == "hold" or share_vs < hop.window.resolution_vs / 2:
            return ""
        return f" ({sentences.s(share_vs)} of it is between Prometheus's clock and ours)"

    def unwatched(self, hop: Hop, start: Interval, latest: float, group: tuple[str, ...] = ()) -> str:
        """Why nobody can know what happened in between; empty where somebody was looking. `group` as in `late`."""
        outage = self.evidence.outage(hop.needs, start[0], latest)
        if outage is not None:
            return self._was_down(outage, hop, start)
        if stood := self._stood_still(hop, start[0], latest):
            return stood
        silent = self.evidence.silence(hop.needs, start[0], latest)
        if silent is not None:
            return f"{silent.equipment} answered nobody for {silent.lasted_s(latest):.1f} real s ({silent.detail})"
        for observer in hop.needs:
            if observer in ("target", "alertmanager"):
                continue
            blind = self.evidence.blind_from(observer, start[1], min(latest, self.end_of_watch))
            if blind is not None and latest <= self.end_of_watch:
                return f"{observer} was not watched from {sentences.s((blind - start[1]) * self.scale)} on"
        others = tuple(one for one in group if one not in hop.needs)
        gone = self.evidence.outage(others, start[0] - _RETRY_REAL_S, latest)
        if gone is not None:
            return f"{self._was_down(gone, hop, start)}, by which the same receiver is told"
        away = self._away(others, start[0], latest)
        if away is not None:
            return self._held_up(away, latest)
        if latest > self.end_of_watch:
            ended = sentences.s(max(0.0, self.end_of_watch - start[1]) * self.scale)
            return f"the run ended {ended} after {sentences.SINCE[hop.name]}"
        return ""

    def ended_early(self, hop: Hop, start: Interval, latest: float, episode: Episode | None) -> str:
        """Whether we took the fault back before the hop was due, so that it could not come."""
        ended = self.anchors.ended
        if ended is None or hop.name not in ("detect", "hold", "notify") or ended[0] >= latest:
            return ""
        resolved = episode.resolved if episode else None
        if hop.name != "detect" and (resolved is None or not ended[0] <= resolved[1] or resolved[0] >= latest):
            return ""
        after = sentences.s(max(0.0, (ended[0] - start[1]) * self.scale))
        return f"{ended[1]} {after} after {sentences.SINCE[hop.name]}, before it was due"
