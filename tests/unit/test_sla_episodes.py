"""Samples of ALERTS become episodes, and episodes become incidents; their open time is a union."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chaoskit.observe.alert_states import Labels, labels_of
from chaoskit.sla.episodes import Seen, episodes, fingerprint, incidents, rank, span_of
from chaoskit.sla.model import Episode

DOWN = labels_of({"alertname": "Down", "severity": "critical"})
SLOW = labels_of({"alertname": "Slow", "severity": "warning"})


def at(clock: str) -> int:
    return int(datetime.fromisoformat(f"2026-11-05T{clock}").replace(tzinfo=UTC).timestamp())


def episode(labels: Labels, begin: int, end: int | None) -> Episode:
    known = dict(labels)
    last = begin if end is None else end
    return Episode("e", fingerprint(labels), begin, begin, last, end, known["alertname"], known["severity"], known)


def every15(first: str, last: str) -> list[int]:
    begin, end = at(first), at(last)
    return [begin + 15 * n for n in range(int((end - begin) // 15) + 1)]


def seen(firing: list[int], born: int | None, until: str = "10:30:00", **more: object) -> Seen:
    active = {} if born is None else {DOWN: [(each, born) for each in firing]}
    return Seen("e", {DOWN: firing}, active, at(until), 15.0, **more)  # type: ignore[arg-type]


def test_a_restart_of_prometheus_does_not_make_two_episodes_of_one() -> None:
    """Worked example 11: firing, restart, pending, firing again with an equal ActiveAt."""
    firing = every15("10:00:00", "10:04:45") + every15("10:09:00", "10:12:00")
    (one,) = episodes(seen(firing, at("09:59:00")))
    assert (one.active_at, one.fired_at, one.resolved_at) == (at("09:59:00"), at("10:00:00"), at("10:12:15"))


def test_another_active_at_is_another_episode() -> None:
    first, second = every15("10:00:00", "10:04:45"), every15("10:09:00", "10:12:00")
    born = {DOWN: [(t, at("09:59:00")) for t in first] + [(t, at("10:08:00")) for t in second]}
    found = episodes(Seen("e", {DOWN: first + second}, born, at("10:30:00"), 15.0))
    spans = [span_of(one, 0) for one in found]
    assert spans == [(at("09:59:00"), at("10:05:00")), (at("10:08:00"), at("10:12:15"))]


def test_nothing_but_unknown_time_between_joins_what_nothing_else_tells_apart() -> None:
    firing = every15("10:00:00", "10:04:45") + every15("10:09:00", "10:12:00")
    away = [(at("10:04:50"), at("10:08:50"))]
    assert len(episodes(seen(firing, None, unknown=away))) == 1
    assert len(episodes(seen(firing, None))) == 2


def test_two_missing_evaluations_end_an_episode_and_one_does_not() -> None:
    assert len(episodes(seen([at("10:00:00"), at("10:00:30")], None))) == 1
    assert len(episodes(seen([at("10:00:00"), at("10:00:45")], None))) == 2


def test_what_fires_to_the_end_of_what_was_seen_is_open_and_goes_on_the_next_day() -> None:
    firing = every15("10:00:00", "10:20:00")
    (open_,) = episodes(seen(firing[:40], at("09:59:00"), "10:09:50"))
    assert open_.resolved_at is None
    (whole,) = episodes(seen(firing[38:], at("09:59:00")), [open_])
    assert (whole.active_at, whole.resolved_at) == (at("09:59:00"), at("10:20:15"))
    (ended,) = episodes(Seen("e", {}, {}, at("10:30:00"), 15.0), [open_])
    assert ended.resolved_at == at("10:09:45") + 15
    assert episodes(Seen("e", {}, {}, at("10:40:00"), 15.0), [ended]) == []


def test_what_keep_firing_for_adds_is_no_part_of_the_episode() -> None:
    (one,) = episodes(seen(every15("10:00:00", "10:12:00"), None, kept_s={"Down": 420.0}))
    assert one.resolved_at == at("10:05:15")


def test_incidents_are_unions_of_what_overlaps_or_follows_within_five_minutes() -> None:
    found = incidents(
        [
            episode(DOWN, at("10:00:00"), at("10:10:00")),
            episode(SLOW, at("10:05:00"), at("10:12:00")),
            episode(SLOW, at("10:17:00"), at("10:20:00")),
            episode(SLOW, at("10:25:01"), None),
        ],
        at("10:30:00"),
    )
    assert [each.open_s for each in found] == [12 * 60 + 3 * 60, 299]
    assert [each.severity for each in found] == ["critical", "warning"]
    assert [each.open for each in found] == [False, True]
    assert found[0].alerts == ("Down", "Slow")


def test_an_alert_that_was_open_for_no_time_is_an_incident_all_the_same() -> None:
    (one,) = incidents([episode(DOWN, 5, 5)], 9)
    assert (one.begin, one.end, one.open_s) == (5, 5, 0)


def test_severities_stand_from_the_worst_on() -> None:
    assert sorted(["page", "info", "critical", "warning"], key=rank) == ["critical", "warning", "info", "page"]


@given(st.sets(st.integers(0, 80), min_size=1), st.integers(0, 80))
def test_a_day_read_in_two_pieces_gives_the_episodes_of_the_whole(numbers: set[int], cut: int) -> None:
    firing = [15 * number for number in sorted(numbers)]
    whole = episodes(Seen("e", {DOWN: firing}, {}, 2000, 15.0))
    early = episodes(Seen("e", {DOWN: [t for t in firing if t <= 15 * cut]}, {}, 15 * cut, 15.0))
    late = episodes(Seen("e", {DOWN: [t for t in firing if t > 15 * (cut - 8)]}, {}, 2000, 15.0), early)
    joined = {one.active_at: one for one in [*early, *late]}
    assert list(joined.values()) == whole
