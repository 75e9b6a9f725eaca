"""What load is asked for: described completely, refused completely, and the same on both ends of a pipe."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit.errors import BadInput
from chaoskit.load.messages import Change, Start, decode_command, encode
from chaoskit.load.mix import Arrivals, Mix, render, render_json
from chaoskit.load.model import MOST_IN_FLIGHT, LoadSpec, RequestSpec
from chaoskit.scenario.shape import Shape, factor


def a_spec(**different: Any) -> LoadSpec:
    settings: dict[str, Any] = {
        "host": "http://127.0.0.1:8000",
        "rate": None if "users" in different else 40.0,
        "mix": {"leads": 3, "reports": 1},
        "requests": {
            "leads": RequestSpec(path="/leads/{n%50}", headers={"X-Key": "k"}),
            "reports": RequestSpec(method="POST", path="/reports", json={"of": "{n}"}),
        },
    }
    return LoadSpec(**{**settings, **different})


@pytest.mark.parametrize("spec", [a_spec(), a_spec(users=7, shape=Shape(kind="soak", start_s=1, length_s=9), seed=4)])
def test_a_spec_survives_the_pipe_unchanged(spec: LoadSpec) -> None:
    assert decode_command(encode(Start(spec=spec, shard=1, shards=2))) == Start(spec=spec, shard=1, shards=2)
    assert decode_command(encode(Change(spec=spec))) != Change(spec=replace(spec, seed=99))


@pytest.mark.parametrize(
    ("different", "said"),
    [
        ({"rate": None}, "exactly one of rate and users"),
        ({"rate": 1.0, "users": 2}, "exactly one of rate and users"),
        ({"host": "127.0.0.1:8000"}, "is not the root of a service"),
        ({"host": "http://127.0.0.1:8000/api"}, "is not the root of a service"),
        ({"rate": 0.0}, "rate is 0"),
        ({"rate": float("inf")}, "rate is inf"),
        ({"mix": {}}, "the mix is empty"),
        ({"mix": {"leads": 0}}, "the weight of 'leads' is 0"),
        ({"mix": {"lead": 1}}, "'lead' of the mix is no known request"),
        ({"requests": {"leads": RequestSpec(path="leads"), "reports": RequestSpec(path="/r")}}, "the path 'leads'"),
        ({"requests": {"leads": RequestSpec(path="/a b"), "reports": RequestSpec(path="/r")}}, "the path '/a b'"),
        ({"requests": {"leads": RequestSpec(path="/", method="LOOK"), "reports": RequestSpec(path="/r")}}, "'LOOK'"),
        ({"requests": {"leads": RequestSpec(path="/{n%0}"), "reports": RequestSpec(path="/r")}}, "by 0"),
        (
            {"requests": {"leads": RequestSpec(path="/", json=1, body="x"), "reports": RequestSpec(path="/r")}},
            "both json and body",
        ),
        ({"locustfile": __file__}, "take no rate"),
        ({"locustfile": __file__}, "both a locustfile and a mix"),
        ({"locustfile": "nowhere.py"}, "'nowhere.py' does not exist"),
        ({"network_timeout_s": 0.0}, "network_timeout_s is 0"),
        ({"limit_s": float("inf")}, "limit_s is inf"),
        ({"limit_requests": 0}, "limit_requests is 0"),
        ({"max_in_flight": MOST_IN_FLIGHT * 2 + 1}, "set processes to 3"),
        ({"users": 1, "processes": 2}, "1 users over 2 processes"),
        ({"shape": Shape(kind="ramp")}, "length_s is 0"),
        ({"shape": Shape(kind="step", length_s=1, steps=0)}, "steps is 0"),
        ({"shape": Shape(kind="spike", length_s=1, peak=-1)}, "peak is -1"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(different: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as refused:
        a_spec(**different)
    assert said in str(refused.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        LoadSpec(host="x", rate=-1, processes=0)
    assert len(refused.value.problems) == 4


@given(st.integers(1, 500), st.integers(1, 7), st.integers(7, 2000))
def test_the_shares_of_several_processes_add_up_exactly(users: int, shards: int, limit: int) -> None:
    whole = a_spec(users=users, limit_requests=limit)
    if users >= shards:
        shares = [whole.share(shard, shards) for shard in range(shards)]
        assert sum(share.users or 0 for share in shares) == users
        assert sum(share.limit_requests for share in shares) == limit
    rates = [a_spec(rate=float(users)).share(shard, shards).rate or 0 for shard in range(shards)]
    assert sum(rates) == pytest.approx(users)


def test_the_pool_holds_what_a_frozen_target_leaves_open_until_it_times_out() -> None:
    assert a_spec(rate=100.0).in_flight_bound >= 100 * a_spec().longest_s
    assert a_spec(rate=1.0).in_flight_bound == 50
    assert a_spec(rate=5000.0).in_flight_bound == MOST_IN_FLIGHT
    assert a_spec(rate=10.0, max_in_flight=3).in_flight_bound == 3


def test_only_the_level_mix_requests_and_shape_change_live() -> None:
    old = a_spec()
    old.check_change(a_spec(rate=80.0, mix={"reports": 1}, shape=Shape(kind="ramp", length_s=5)))
    with pytest.raises(BadInput) as refused:
        old.check_change(a_spec(users=3, host="http://127.0.0.1:9", processes=2))
    assert [str(problem).split()[1] for problem in refused.value.problems] == ["host", "processes", "the"]


def test_after_each_cycle_the_mix_is_exact_and_spread() -> None:
    mix = Mix({"a": 5, "b": 3, "c": 2})
    for cycle in range(3):
        names = [mix.next()[0] for _ in range(10)]
        assert {n: names.count(n) for n in "abc"} == {"a": 5, "b": 3, "c": 2}, cycle
        assert "aaa" not in "".join(names)


def test_the_counters_of_several_processes_do_not_meet() -> None:
    first, second = Mix({"a": 1}, first=0, stride=2), Mix({"a": 1}, first=1, stride=2)
    seen = [mix.next()[1] for _ in range(5) for mix in (first, second)]
    assert sorted(seen) == list(range(10))


def test_a_changed_mix_goes_on_counting() -> None:
    mix = Mix({"a": 1})
    mix.next()
    mix.change({"a": 1, "b": 1})
    assert {mix.next() for _ in range(2)} == {("a", 1), ("b", 0)}


def test_placeholders_and_nothing_else_are_filled_in() -> None:
    assert render("/x/{n}/{n%50}?{m}={}", 123) == "/x/123/23?{m}={}"
    value = {"id": "{n}", "text": "lead {n%10}", "list": ["{n%7}", 1, None], "{n}": True}
    assert render_json(value, 17) == {"id": 17, "text": "lead 7", "list": [3, 1, None], "{n}": True}


@pytest.mark.parametrize(
    ("shape", "course"),
    [
        (Shape(), {0: 1, 1000: 1}),
        (Shape(kind="ramp", length_s=10), {0: 0, 5: 0.5, 10: 1, 99: 1}),
        (Shape(kind="ramp", length_s=10, low=0.5), {0: 0.5, 5: 0.75, 10: 1}),
        (Shape(kind="spike", start_s=5, length_s=2, peak=4), {4.9: 1, 5: 4, 6.9: 4, 7: 1}),
        (Shape(kind="step", length_s=10, steps=4), {0: 0.25, 9.9: 0.25, 10: 0.5, 35: 1, 400: 1}),
        (Shape(kind="soak", start_s=2, length_s=10), {0: 0, 1: 0.5, 2: 1, 12: 1, 13: 0.5, 14: 0, 99: 0}),
        (Shape(kind="soak", length_s=10), {0: 1, 10: 1, 10.1: 0}),
    ],
)
def test_each_shape_follows_its_course(shape: Shape, course: dict[float, float]) -> None:
    assert {t: factor(shape, t) for t in course} == course
    assert max(course.values()) <= shape.highest


@settings(max_examples=50)
@given(st.floats(0.5, 2000), st.lists(st.floats(0.001, 0.5), min_size=1, max_size=10))
def test_arrivals_are_evenly_spaced_however_often_they_are_asked_for(rate: float, asks: list[float]) -> None:
    arrivals, now, seen = Arrivals(lambda _t: rate, 100.0), 100.0, []
    for ask in asks:
        now += ask
        seen += arrivals.until(now)
    assert abs(len(seen) - rate * (now - 100.0)) <= 1 + 1e-6
    assert [b - a for a, b in itertools.pairwise(seen)] == pytest.approx([1 / rate] * (len(seen) - 1), rel=1e-3)
    assert all(100.0 < t <= now + 1e-9 for t in seen)


def test_a_ramp_brings_the_area_under_it() -> None:
    shape = Shape(kind="ramp", length_s=10)
    seen = Arrivals(lambda t: 100 * factor(shape, t), 0.0).until(10.0)
    assert abs(len(seen) - 500) <= 1
    assert seen == sorted(seen)
    assert len([t for t in seen if t <= 5]) == pytest.approx(125, abs=1)


def test_a_changed_rate_leaves_neither_gap_nor_burst() -> None:
    rates = [10.0]
    arrivals = Arrivals(lambda _t: rates[0], 0.0)
    seen = arrivals.until(1.0)
    rates[0] = 50.0
    seen += arrivals.until(2.0)
    gaps = [b - a for a, b in itertools.pairwise(seen)]
    assert max(gaps) <= 0.1 + 1e-6
    assert min(gaps) >= 0.02 - 1e-6


def test_the_model_needs_no_file_to_exist_twice(tmp_path: Path) -> None:
    """A locustfile is named by a path that exists; with users of its own it needs no mix."""
    path = tmp_path / "own.py"
    path.write_text("")
    assert LoadSpec(host="http://127.0.0.1", users=3, locustfile=str(path)).level(0) == 3
