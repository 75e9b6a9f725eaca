"""Load on a running system: requests of the profile at a rate, or the traffic that it has of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_attach_refusals import Case
from test_attached_histories import attached, with_header

from chaoskit.errors import BadInput
from chaoskit.events import Equipment, Event, StepBegin
from chaoskit.hop import Hop
from chaoskit.run.background import BackgroundWatch
from chaoskit.run.traffic import load_spec
from chaoskit.scenario.model import Attached, Background
from chaoskit.scenario.profile import load_profile
from chaoskit.stack.attached import AttachedStack
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import verify
from tests.attached_system import processes_titled
from tests.golden.doctored import Truth, told, with_events

MATCH, worker = processes_titled("a-loaded-worker", "w-1")
REQUESTS = {"orders": {"path": "/orders/{n%50}"}, "buy": {"path": "/buy", "method": "POST", "json": {"id": "{n}"}}}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    found = Case(tmp_path, match=MATCH, more="limits: {fault: 3m, run: 10m}\n")
    found.target |= {"service": "http://s", "requests": REQUESTS}  # type: ignore[dict-item]
    return found


def test_a_rate_asks_for_the_requests_of_the_profile(case: Case, tmp_path: Path) -> None:
    """The open model: so many a second are due, answered or not."""
    case.more += "load: {rate: 20/s, mix: {orders: 3, buy: 1}}\n"
    plan = case.plan()[0]
    target = plan.profile.target
    assert isinstance(target, Attached)
    stack = AttachedStack(tmp_path, target, plan.profile.handles, [])
    spec = load_spec(plan, stack.target_url, stack.requests)
    assert (spec.rate, spec.users, spec.mix) == (20, None, {"orders": 3, "buy": 1})
    assert (spec.requests["buy"].method, spec.requests["buy"].json) == ("POST", {"id": "{n}"})


def test_a_mix_of_what_the_profile_does_not_have_is_refused(case: Case) -> None:
    case.more += "load: {rate: 20/s, mix: {oders: 3}}\n"
    assert "orders" in case.complaints()[0]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"requests": {"orders": {"path": "//elsewhere"}}}, "request 'orders' has the path '//elsewhere'"),
        ({"requests": {"orders": {"path": "/orders/{n%0}"}}}, "request 'orders' divides its counter by 0"),
        ({"requests": {"orders": {"path": "/", "json": {"a": 1}, "body": "b"}}}, "'orders' has both json and body"),
        ({"service": "http://s/shop"}, "host 'http://s/shop' is not the root of a service"),
    ],
)
def test_a_request_or_a_service_that_no_load_can_use_is_refused_before_the_run(
    case: Case, target: dict[str, Any], said: str
) -> None:
    case.target |= target
    case.more += "load: {rate: 20/s}\n"
    assert any(said in one and one.startswith("staging.yml:") for one in case.complaints())


PROFILE = "chaoskit: 1\ntarget: {attached: {prometheus: http://p, alertmanager: http://a, metrics: http://m, "


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("requests: {}", "'requests'"),
        ("requests: {a: {}}", "'path'"),
        ("requests: {a: {path: orders}}", "must be a path, found"),
        ("requests: {a: {path: /, method: GRAB}}", "must be one of GET, POST"),
        ("background: {query: up}", "'at_least'"),
        ("background: {query: up, at_least: 0}", "at_least"),
    ],
)
def test_what_is_written_wrongly_is_refused(more: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_profile(f"{PROFILE}environment: s, {more}}}}}\n", "p.yml")
    assert said in str(caught.value)


def test_a_background_that_cannot_be_asked_is_refused(case: Case) -> None:
    case.target |= {"background": {"query": "sum(rate(", "at_least": 5}}  # type: ignore[dict-item]
    assert "background: 'sum(rate(' cannot be asked" in case.complaints()[0]


# -- the traffic of its own ------------------------------------------------------------------------------------------


def test_each_change_of_the_background_is_said_once() -> None:
    answers = iter([True, True, False, False, None, True])
    asked: list[str] = []

    def ask(query: str) -> bool | None:
        asked.append(query)
        return next(answers)

    said: list[Event] = []
    watch = BackgroundWatch(Background("sum(rate(x[1m]))", 5), ask, said.append)
    for _ in range(6):
        watch.look_once()
    assert asked[0] == "(sum(rate(x[1m]))) >= 5"
    assert [one.state for one in said if isinstance(one, Equipment)] == ["up", "down", "silent", "up"]


def judged(*events: tuple[float, str]) -> Row:
    """The row of a healthy run with these states of the background, so many seconds after the first step."""
    history = attached(told(Truth()))
    header = history.header
    profile = f"profile:{header.profile}"
    wanted = "environment: staging, background: {query: 'rate(x[1m])', at_least: 5}"
    text = header.sources[profile].replace("environment: staging", wanted)
    history = with_header(history, msgspec.structs.replace(header, sources={**header.sources, profile: text}))
    begun = next(event.t for event in history.of(StepBegin))
    more = [
        Equipment(t=begun + at, name="background", state=state, detail="less" if state != "up" else "")  # type: ignore[arg-type]
        for at, state in events
    ]
    verdict = verify(with_events(history, sorted([*history.events, *more], key=lambda event: event.t)))
    (row,) = [row for row in verdict.rows if row.about == "background"]
    assert row.hop is Hop.LOAD
    return row


def test_enough_traffic_from_before_the_first_step_to_the_last_is_a_pass() -> None:
    row = judged((-2.0, "down"), (-1.0, "up"))
    assert (row.result, row.rests_on) == (Result.PASS, "at least 5 by 'rate(x[1m])'")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "nothing told before the first step"),
        ([(-1.0, "up"), (0.5, "down"), (0.7, "up")], "s after the first step"),
        ([(-1.0, "silent")], "too little traffic, or none known"),
        ([(-1.0, "up"), (0.5, "silent")], "too little traffic, or none known"),
    ],
)
def test_too_little_traffic_and_none_that_is_known_are_unknown(events: list[tuple[float, str]], said: str) -> None:
    row = judged(*events)
    assert row.result is Result.UNKNOWN
    assert said in row.reason
