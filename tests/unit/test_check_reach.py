"""Which routes alerts reach, and which none can: measured against Alertmanager's routing on every possible alert."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from chaoskit.alerting.alert import Alert, alert_of
from chaoskit.alerting.labels import LabelSet
from chaoskit.alerting.model import Matcher, Route, Rule
from chaoskit.alerting.routing import match_routes, values_of
from chaoskit.check.reach import Tree, dead_routes
from chaoskit.errors import Place

VALUES = {"a": ("", "x", "xy", "z"), "b": ("", "x", "z")}
WORLD = [
    {name: value for name, value in zip(VALUES, values, strict=True) if value} for values in product(*VALUES.values())
]
MATCHERS = st.builds(
    Matcher,
    st.sampled_from(sorted(VALUES)),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "x", "z", "x|z", "x.*", "(x|xy)", "xy?", "^x$", ".+"]),
)


def rule(labels: dict[str, str]) -> Rule:
    return Rule("Alert", "", "up == 0", 0.0, 0.0, labels, {}, "group", 15.0, Place("rules.yml", 1))


@st.composite
def trees(draw: st.DrawFn) -> Route:
    def node(path: tuple[int, ...], depth: int) -> Route:
        below = draw(st.integers(0, 3 if depth < 2 else 0))
        return Route(
            path, "r", (), 30.0, 300.0, 3600.0,
            tuple(draw(st.lists(MATCHERS, max_size=2))) if path else (),
            draw(st.booleans()) if path else False,
            tuple(node((*path, number), depth + 1) for number in range(below)),
            Place("alertmanager.yml", 1),
        )  # fmt: skip

    return node((), 0)


@given(trees(), st.sampled_from(WORLD))
def test_an_alert_whose_labels_are_all_known_reaches_exactly_what_alertmanager_gives(
    root: Route, labels: dict[str, str]
) -> None:
    alert = Alert(rule(labels), {**labels, "alertname": "Alert"}, LabelSet(frozenset()))
    found = Tree(root).reached(alert)
    assert [each.route.path for each in found] == [
        route.path for route in match_routes(root, {**labels, "alertname": "Alert"})
    ]
    assert all(each.certain for each in found)


@given(trees(), st.sampled_from(WORLD))
def test_open_labels_give_all_routes_that_are_possible_and_call_certain_only_what_is(
    root: Route, known: dict[str, str]
) -> None:
    """`a` is left to the series: any value of it may come."""
    known = {name: value for name, value in known.items() if name != "a"}
    alert = Alert(rule(known), {**known, "alertname": "Alert"}, LabelSet(frozenset(("a",))))
    possible = [
        match_routes(root, {**known, "alertname": "Alert"} | ({"a": value} if value else {})) for value in VALUES["a"]
    ]
    found = {each.route.path: each.certain for each in Tree(root).reached(alert)}
    assert {route.path for routes in possible for route in routes} <= set(found)
    for path in (path for path, certain in found.items() if certain):
        assert all(path in [route.path for route in routes] for routes in possible)


@given(trees())
def test_no_alert_at_all_reaches_a_route_that_is_called_unreachable(root: Route) -> None:
    reached = {route.path for labels in WORLD for route in match_routes(root, labels)}
    for dead in dead_routes(root):
        assert not [path for path in reached if path[: len(dead.route.path)] == dead.route.path]


def test_a_route_behind_several_that_together_take_everything_is_unreachable() -> None:
    def route(number: int, matcher: Matcher) -> Route:
        return Route((number,), "r", (), 30.0, 300.0, 3600.0, (matcher,), False, (), Place("a.yml", number))

    children = (
        route(0, Matcher("a", "=", "x")),
        route(1, Matcher("a", "=", "z")),
        route(2, Matcher("a", "=~", "z|x")),
        route(3, Matcher("a", "=~", "z|x|y")),
    )
    root = Route((), "r", (), 30.0, 300.0, 3600.0, (), False, children, Place("a.yml", 1))
    assert [(dead.route.path, dead.hidden_by) for dead in dead_routes(root)] == [((2,), children[1])]


def test_only_expressions_that_name_their_values_are_taken_for_lists() -> None:
    named = {text: values_of(Matcher("a", "=~", text)) for text in ("x|y", "(?:x|y)", "^x$", "x.", "x|(y|z)", "")}
    assert named == {
        "x|y": {"x", "y"}, "(?:x|y)": {"x", "y"}, "^x$": {"x"}, "x.": None, "x|(y|z)": None, "": {""},
    }  # fmt: skip


def test_a_label_with_a_template_is_open_and_one_that_the_expression_drops_is_missing() -> None:
    made = Rule("A", "", "sum by (job) (up) > 1", 0, 0, {"team": "{{ $labels.job }}"}, {}, "g", 15.0, Place("r", 1))
    alert = alert_of(made, {"cluster": "one", "job": "outer"})
    assert (alert.value("team"), alert.value("job"), alert.value("zone"), alert.value("cluster")) == (
        None, None, "", "one",
    )  # fmt: skip
