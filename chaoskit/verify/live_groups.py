"""Notify windows of alerts that join a group which has already notified: group_interval governs, not group_wait.

Alertmanager waits group_wait for the first alert of a new group only. One that joins before that first notice rides
along with it; one that joins later, or fires again while the group lingers (up to 0.31 a resolved alert is sent
again for 15 minutes and keeps it alive), is told at the next tick, anywhere within group_interval. By then another
alert may mute it, and no notice comes: two processes killed at once are down in one scrape, save now and then, when
the scrape falls between them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from chaoskit.alerting import windows
from chaoskit.alerting.model import AlertConfig, Route
from chaoskit.alerting.routing import group_labels, match_routes, sent_labels
from chaoskit.alerting.windows import Window
from chaoskit.events import Suppression
from chaoskit.hop import Hop
from chaoskit.plan.model import PlannedNotice
from chaoskit.units import format_duration, seconds
from chaoskit.verify.evidence import Episode

_Group = tuple[tuple[int, ...], tuple[tuple[str, str], ...]]


class GroupHistory:
    """The other alerts that were in an alert's groups before it fired."""

    def __init__(
        self,
        config: AlertConfig,
        episodes: Sequence[Episode],
        scale: float,
        delivery_vs: float,
        lingering: Sequence[Mapping[str, str]] = (),
        mutes: Sequence[Suppression] = (),
    ) -> None:
        """`lingering`: label sets that had fired before the first look; `mutes`: by alerts that are to mute others."""
        self._config = config
        self._scale = scale
        self._delivery_vs = delivery_vs
        self._mutes = mutes
        self._first: dict[_Group, list[tuple[float, int]]] = {}
        had = [(labels, (0.0, 0)) for labels in lingering]
        had += [(one.labels, (one.firing[0], id(one))) for one in episodes if one.firing is not None]
        for labels, first in had:
            for route in self._routes(labels):
                self._first.setdefault(self._group(route, labels), []).append(first)

    def window(self, notice: PlannedNotice, episode: Episode | None) -> Window:
        """The notify window of this instance: the promised one, unless its group existed before it fired."""
        found = self._joined(notice, episode)
        if found is None:
            return notice.notify
        route, before_vs = found
        if before_vs < route.group_wait_s:
            # It may ride along with the first notice, so only its latest instant is known.
            setting = f"{notice.notify.setting}, in a group that began {format_duration(round(before_vs))} before"
            return dataclasses.replace(notice.notify, lo_vs=0.0, setting=setting)
        live = windows.live_notify(route, self._delivery_vs)
        return dataclasses.replace(live, setting=f"{live.setting}, for its group had notified before")

    def muted(self, notice: PlannedNotice, episode: Episode | None) -> str:
        """The alert that muted an instance before its group's next tick came, in words; empty where none did.

        Only what the scenario itself says to mute this alert counts.
        """
        found = self._joined(notice, episode)
        if found is None or episode is None or episode.firing is None:
            return ""
        route, before_vs = found
        if before_vs < route.group_wait_s:
            return ""
        latest = episode.firing[1] + self.window(notice, episode).hi_vs / self._scale
        for mute in self._mutes:
            if episode.is_in(mute.labels) and episode.firing[0] <= mute.seen[1] and mute.seen[0] <= latest:
                source = ", ".join(by.get("alertname", "?") for by in mute.inhibited_by)
                before = seconds(before_vs)
                return f"{source} muted the alert before its group's next notice; the group began {before} earlier"
        return ""

    def _joined(self, notice: PlannedNotice, episode: Episode | None) -> tuple[Route, float] | None:
        """The route, and for how many virtual seconds the group had others when the instance fired; None for its first.

        An instance that fired at the same evaluation is no other.
        """
        if episode is None or episode.firing is None or notice.notify.hop is not Hop.NOTIFY:
            return None
        route = next((r for r in self._routes(episode.labels) if r.receiver == notice.receiver), None)
        if route is None:
            return None
        others = self._first[self._group(route, episode.labels)]
        begun = min((at for at, who in others if who != id(episode)), default=episode.firing[0])
        return (route, (episode.firing[0] - begun) * self._scale) if begun < episode.firing[0] else None

    def _routes(self, labels: Mapping[str, str]) -> tuple[Route, ...]:
        return match_routes(self._config.route, sent_labels(self._config, labels))

    def _group(self, route: Route, labels: Mapping[str, str]) -> _Group:
        return route.path, tuple(group_labels(route, sent_labels(self._config, labels)).items())
