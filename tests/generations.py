"""Prometheus and Alertmanager of several Debian generations, for tests that must hold on each of them.

`own` is what every command would find. The others come from the private cache, which `python -m
chaoskit.stack.install --suite NAME` fills without touching the first; a test on one that is not there is skipped.

Debian's unstable suite moves on: a version of it that nobody has seen here yet is printed, and what fails on it is
skipped with the reason, for it says nothing against this project's state.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import pytest

from chaoskit.errors import BadInput
from chaoskit.stack.binaries import Binaries, numbers, os_release, require

SUITES = ("bookworm", "trixie", "sid")
GENERATIONS = ("own", *(suite for suite in SUITES if suite != os_release().get("VERSION_CODENAME")))
MOVING = "sid"
BETWEEN = SUITES[1:-1]
"""On these tests marked `outermost` are `long`: an older and a newer generation have them in `make test`."""
_DOZEN = 12
SEEN = {"prometheus": {(3, 5)}, "alertmanager": {(0, 33)}}
"""Minor versions of the moving suite on which everything has passed."""


def programs(generation: str) -> Binaries:
    """The four programs of this generation; skips the test where it is another one than this machine's and missing."""
    if generation == "own":
        return require()
    try:
        return require(generation)
    except BadInput as missing:
        pytest.skip(str(missing))


def never_seen(generation: str) -> str:
    """The versions of a moving generation that nobody has seen here yet, in words; empty where all are known."""
    if generation != MOVING:
        return ""
    try:
        versions = require(generation).versions
    except BadInput:
        return ""
    new = [f"{name} {versions[name]}" for name, seen in SEEN.items() if numbers(versions[name])[:2] not in seen]
    return ", ".join(new)


@pytest.fixture(scope="session", params=GENERATIONS)
def generation(request: pytest.FixtureRequest) -> Binaries:
    """The four programs, of each generation in turn."""
    return programs(request.param)


def in_turn(cases: Iterable[str]) -> list[Any]:
    """A parameter (suite, case) for each pair; in `make test` each case has one of the outermost that are there."""
    outer = [suite for suite in GENERATIONS if suite not in BETWEEN and (suite == "own" or _there(suite))]
    return [
        pytest.param(suite, case, marks=() if suite == outer[number % len(outer)] else pytest.mark.long)
        for number, case in enumerate(cases)
        for suite in GENERATIONS
    ]


def _there(suite: str) -> bool:
    try:
        require(suite)
    except BadInput:
        return False
    return True


def of_item(item: pytest.Item) -> str:
    """The generation that a test runs on, by its parameters; empty where it has none."""
    values = getattr(getattr(item, "callspec", None), "params", {}).values()
    return next((value for value in values if isinstance(value, str) and value in SUITES), "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A failure on a version that nobody has seen yet is told as a skip, with what failed."""
    report = yield
    new = never_seen(of_item(item)) if report.failed else ""
    if new:
        path, line, _ = item.location
        report.outcome, report.longrepr = "skipped", (path, line or 0, f"never seen before: {new}: {call.excinfo}")
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is left to `make test-long`: tests of virtual time but for a dozen on each other suite, and see BETWEEN."""
    for item in items:
        if item.get_closest_marker("outermost") and of_item(item) in BETWEEN:
            item.add_marker("long")
    for suite in (MOVING, *BETWEEN):
        there = [item for item in items if "test_virtual_" in item.nodeid and of_item(item) == suite]
        chosen = {there[n * len(there) // _DOZEN].nodeid for n in range(_DOZEN)} if there else set()
        for item in there:
            if item.nodeid not in chosen:
                item.add_marker("long")


def pytest_report_header() -> list[str]:
    """Says which versions are new."""
    new = never_seen(MOVING)
    return [f"{MOVING} has versions never seen before: {new}"] if new else []
