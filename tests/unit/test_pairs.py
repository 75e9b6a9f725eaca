"""Pairs of Prometheus and Alertmanager: the earliest replica counts, peers wait for one another, one that is down is a
row."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_attach_refusals import PAGE, RULE, Case, System
from test_attached_histories import attached, with_header

from chaoskit.errors import BadInput, Refused
from chaoskit.events import AlertState, Equipment, Event, Poll, StepBegin
from chaoskit.examine.preflight import preflight
from chaoskit.hop import Hop
from chaoskit.observe.replicas import Merged
from chaoskit.scenario.model import Attached
from chaoskit.scenario.profile import load_profile
from chaoskit.verify.verdict import Result, Verdict
from chaoskit.verify.verify import verify
from tests.attached_system import ROUTES, processes_titled
from tests.golden.doctored import Truth, told, with_events
from tests.reverse_proxy import proxied

MATCH, worker = processes_titled("a-paired-worker", "w-1")


# -- what is seen of replicas ---------------------------------------------------------------------------------------


def alert(state: str, at: float) -> AlertState:
    return AlertState(labels={"alertname": "A"}, state=state, at=at, previous=at - 5)  # type: ignore[arg-type]


def poll(seen_to: float | None, *, ok: bool = True, skew: tuple[float, float] = (-0.1, 0.1)) -> Poll:
    return Poll(
        source="prometheus", asked=seen_to or 0.0, ok=ok, seen_to=seen_to, skew=skew, detail="" if ok else "gone"
    )


def merged(*given: tuple[int, Event]) -> list[str]:
    """The states that come of these events of replicas, with their instants, and what is said of equipment."""
    both = Merged(["prometheus a", "prometheus b"])
    found = [event for replica, event in given for event in both.take(replica, event)]
    states = [f"{one.state} {one.at:g}" for one in found if isinstance(one, AlertState)]
    return states + [f"{one.name} {one.state}" for one in found if isinstance(one, Equipment)]


UP = ((0, poll(0.0)), (1, poll(0.0)))


def test_the_earliest_replica_counts_whichever_is_looked_at_first() -> None:
    """a evaluates at 10, 20, 30 …; b at 13, 23, 33 …, and is looked at first."""
    events = (
        *UP,
        (1, alert("pending", 13)), (1, poll(13)),
        (0, alert("pending", 10)), (0, poll(20)),
        (1, alert("firing", 73)), (1, poll(73)),
        (0, alert("firing", 70)), (0, poll(80)),
        (1, poll(83)),
    )  # fmt: skip
    assert merged(*events) == ["pending 10", "firing 70"]


def test_an_alert_is_over_when_no_replica_shows_it_any_more() -> None:
    events = (
        *UP, (0, alert("firing", 10)), (1, alert("firing", 13)), (0, poll(20)), (1, poll(23)),
        (0, alert("inactive", 30)), (0, poll(30)), (1, poll(33)),
    )  # fmt: skip
    assert merged(*events) == ["firing 10"]
    assert merged(*events, (1, alert("inactive", 43)), (1, poll(43)), (0, poll(50))) == ["firing 10", "inactive 43"]


def test_what_is_known_reaches_as_far_as_the_slowest_replica_that_answers() -> None:
    both = Merged(["prometheus a", "prometheus b"])
    both.take(0, poll(20, skew=(-0.1, 0.2)))
    (told,) = both.take(1, poll(13, skew=(1.0, 1.3)))
    assert isinstance(told, Poll)
    assert (told.seen_to, told.skew) == (13, (-0.1, 1.3))


def test_a_replica_that_is_down_is_said_and_its_last_word_counts_no_longer() -> None:
    events = (
        *UP, (0, alert("firing", 10)), (1, alert("firing", 13)), (0, poll(20)), (1, poll(23)),
        (0, poll(None, ok=False)),
        (1, alert("inactive", 33)), (1, poll(33)),
        (0, poll(40)), (1, poll(43)),
    )  # fmt: skip
    assert merged(*events) == ["firing 10", "inactive 33", "prometheus a down", "prometheus a up"]


def test_an_alert_that_only_the_replica_that_died_still_showed_is_over() -> None:
    events = (
        *UP, (0, alert("firing", 10)), (1, alert("firing", 13)), (0, poll(20)), (1, poll(23)),
        (1, alert("inactive", 33)), (1, poll(33)), (0, poll(30)), (0, poll(None, ok=False)), (1, poll(43)),
    )  # fmt: skip
    assert merged(*events) == ["firing 10", "inactive 33", "prometheus a down"]


def test_while_no_replica_answers_nothing_is_known() -> None:
    both = Merged(["prometheus a", "prometheus b"])
    for replica in (0, 1):
        both.take(replica, poll(10))
    said = [*both.take(0, poll(None, ok=False)), *both.take(1, poll(None, ok=False))]
    assert [one.ok for one in said if isinstance(one, Poll)] == [False]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_of_looks_changes_nothing(order: tuple[int, ...]) -> None:
    """Whatever is looked at first, what comes out is the same, as soon as both have been looked at so far."""
    looks = [
        [(0, alert("pending", 10)), (0, poll(60))],
        [(0, alert("firing", 70)), (0, poll(100))],
        [(1, alert("pending", 13)), (1, poll(63))],
        [(1, alert("firing", 73)), (1, poll(103))],
    ]
    if order.index(0) > order.index(1) or order.index(2) > order.index(3):
        return  # a replica's own looks come in their order
    assert merged(*UP, *(event for at in order for event in looks[at])) == ["pending 10", "firing 70"]


# -- what is written and planned ------------------------------------------------------------------------------------


PAIR = (
    "chaoskit: 1\ntarget: {attached: {prometheus: [http://p-a:9090/, http://p-b:9090], "
    "alertmanager: [http://a-a, http://a-b, http://a-c], metrics: http://m, environment: s, peer_timeout: 5s}}\n"
)


def test_a_pair_is_written_as_a_list() -> None:
    target = load_profile(PAIR, "p.yml").target
    assert isinstance(target, Attached)
    assert (target.prometheus, target.replicas) == ("http://p-a:9090", ("http://p-a:9090", "http://p-b:9090"))
    assert (target.alertmanager, target.peers) == ("http://a-a", ("http://a-a", "http://a-b", "http://a-c"))
    assert target.peer_timeout_s == 5.0
    for wrong in ("[http://p-a:9090]", "[]", "[http://p, http://p]", "[http://p, 1]"):
        with pytest.raises(BadInput, match=r"p\.yml:2"):
            load_profile(PAIR.replace("[http://p-a:9090/, http://p-b:9090]", wrong), "p.yml")


def test_the_last_member_of_a_cluster_may_be_later_by_what_it_waits_for_those_before_it(tmp_path: Path) -> None:
    def window(**more: Any) -> tuple[float, float, float, str]:
        case = Case(tmp_path, match=MATCH, more="limits: {fault: 9m, run: 20m}\n", witness="http://w")
        case.target |= more
        (alert,) = case.plan()[0].alerts
        notice = next(one for one in alert.notices if one.integration == "witness")
        assert notice.all_clear
        return notice.notify.lo_vs, notice.notify.hi_vs, notice.all_clear.hi_vs, notice.notify.setting

    low, high, cleared, _ = window()
    assert window(alertmanager=["http://a", "http://b", "http://c"], peer_timeout="5s") == (
        low, high + 10, cleared + 10, "promised group_wait 2s, and 2 x 5s peer_timeout",
    )  # fmt: skip


def looked_at(case: Case, other: dict[str, str] | None) -> list[str]:
    """What the preflight says where the second Prometheus answers so, or not at all."""
    ours = {"/api/v1/rules": json.dumps({"status": "success", "data": {"groups": [{"interval": 1, "rules": [RULE]}]}})}
    ours |= {"/metrics": PAGE, "/api/v2/status": json.dumps({"config": {"original": ROUTES}})}
    with proxied(System(ours)) as first, proxied(System(ours | (other or {}))) as second:
        url = second.url if other is not None else "http://127.0.0.1:1"
        case.target = {
            "prometheus": [first.url, url], "alertmanager": first.url, "metrics": f"{first.url}/metrics"
        }  # type: ignore[dict-item]  # fmt: skip
        plan, sources = case.plan()[:2]
        try:
            return [said.replace(url, "SECOND") for part in preflight(plan, sources) for said in part]
        except Refused as error:
            return [str(problem).replace(url, "SECOND") for problem in error.problems]


def test_each_replica_must_have_the_rules_and_one_that_is_down_is_a_note(tmp_path: Path) -> None:
    case = Case(tmp_path, match=MATCH, more="limits: {fault: 3m, run: 10m}\n")
    assert looked_at(case, {}) == []
    other = json.dumps({"status": "success", "data": {"groups": [{"interval": 1, "rules": [RULE | {"duration": 60}]}]}})
    (refused,) = looked_at(case, {"/api/v1/rules": other})
    assert "has for: 1m in place of 4s in SECOND" in refused
    (note,) = looked_at(case, None)
    assert note.startswith("of the pair, SECOND: connection refused")


# -- what is judged -------------------------------------------------------------------------------------------------

MEMBERS = "prometheus: ['http://p', 'http://q'], alertmanager: ['http://a', 'http://b']"


def told_as_a_pair(truth: Truth, *events: tuple[float, str, str]) -> Verdict:
    """A healthy run of an attached target, with members that go down and come up so many seconds after the first
    step."""
    history = attached(told(truth))
    header = history.header
    profile = f"profile:{header.profile}"
    text = header.sources[profile].replace("prometheus: 'http://p', alertmanager: 'http://a'", MEMBERS)
    assert text != header.sources[profile]
    history = with_header(history, msgspec.structs.replace(header, sources={**header.sources, profile: text}))
    begun = next(event.t for event in history.of(StepBegin))
    more = [Equipment(t=begun + at, name=name, state=state) for at, name, state in events]  # type: ignore[arg-type]
    return verify(with_events(history, sorted([*history.events, *more], key=lambda event: event.t)))


def down_of(verdict: Verdict) -> dict[str, str]:
    return {row.about: f"{row.result} {row.reason}" for row in verdict.rows if row.hop is Hop.CONFIGURATION}


def test_two_members_that_were_up_add_no_row() -> None:
    verdict = told_as_a_pair(Truth())
    assert verdict.result is Result.PASS, [row for row in verdict.rows if row.result is not Result.PASS]
    assert down_of(verdict) == {}


def test_a_member_that_was_down_is_unknown_and_the_other_is_judged_as_ever() -> None:
    """Also one that went down before the first step; one that was up again by then is nothing."""
    verdict = told_as_a_pair(
        Truth(), (-1.0, "prometheus http://q", "down"), (1.0, "prometheus http://q", "up"),
        (0.5, "alertmanager http://a", "down"), (-3.0, "alertmanager http://b", "down"),
        (-2.0, "alertmanager http://b", "up"),
    )  # fmt: skip
    found = down_of(verdict)
    assert found.keys() == {"prometheus http://q", "alertmanager http://a"}
    assert found["prometheus http://q"].startswith("UNKNOWN was silent from 0 to 1 s after the first step")
    assert verdict.exit_code == 3
    assert {row.result for row in verdict.rows if row.hop in (Hop.DETECT, Hop.NOTIFY, Hop.CLEAR)} == {Result.PASS}


def test_events_of_other_kinds_pass_through() -> None:
    event = Equipment(name="load", state="up")
    assert Merged(["a", "b"]).take(0, event) == [event]
    assert msgspec.structs.asdict(event)["name"] == "load"
