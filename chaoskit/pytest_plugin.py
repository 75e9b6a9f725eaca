"""Scenarios as tests: `pytest scenarios/` collects every YAML file whose first key is `chaoskit:` and has steps.

Findings become the failure's message. The fixture `chaoskit_run` lets a test in Python play a scenario, written as a
file or as text, on the same model and with the same verdict.

    def test_the_night_shift_hears_of_it(chaoskit_run):
        verdict = chaoskit_run("worker-unhealthy", settings=["load.rate=20/s"])
        assert verdict.result == "PASS"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chaoskit.errors import BadInput
from chaoskit.report.text import telling
from chaoskit.verify.verdict import Result, Verdict
from chaoskit.yaml_source import read_text

_SUFFIXES = (".yml", ".yaml")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of every run that pytest starts."""
    group = parser.getgroup("chaoskit")
    group.addoption("--chaoskit-profile", default="local", help="profile of collected scenarios")
    group.addoption("--chaoskit-scale", default=None, help="virtual seconds per real second")
    group.addoption("--chaoskit-bundle", default=None, help="folder of the alert configuration")
    group.addoption("--chaoskit-out", default=None, help="where runs are kept (a temporary folder)")


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    """A scenario file is a collector of one test."""
    if file_path.suffix in _SUFFIXES and _is_scenario(file_path):
        collector: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
        return collector
    return None


class ScenarioFile(pytest.File):
    """A scenario's file."""

    def collect(self) -> Iterator[pytest.Item]:
        """The one test of a scenario file, called as the file."""
        yield ScenarioItem.from_parent(self, name=self.path.stem)


class ScenarioItem(pytest.Item):
    """A scenario as a test."""

    def runtest(self) -> None:
        """Plays the scenario; raises with the findings unless it passes."""
        from chaoskit.api import play  # only where a scenario is played: it takes half a second

        out = _out(self.config, self.name)
        verdict = play(self.path, out=out, **_options(self.config))
        if verdict.result is not Result.PASS:
            raise NotPassed(verdict)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """The verdict's sentences in place of a traceback."""
        from chaoskit.api import CannotRun

        if isinstance(excinfo.value, NotPassed | CannotRun):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """The scenario's path and its name in pytest's report."""
        return self.path, 0, f"scenario: {self.name}"


class NotPassed(AssertionError):
    """A verdict that is not PASS, as a message: each reason once."""

    def __init__(self, verdict: Verdict) -> None:
        reasons = (f"- {reason}" for reason in telling(verdict.rows))
        super().__init__("\n".join([f"{verdict.result}: {verdict.title}", *reasons]))


@pytest.fixture
def chaoskit_run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Verdict]:
    """Plays a scenario, given its name, its file, or its text, and gives the verdict."""

    def run(scenario: str, *, settings: Sequence[str] = (), arguments: Sequence[str] = ()) -> Verdict:
        if "\n" in scenario:
            file = tmp_path / "scenario.yml"
            file.write_text(scenario, encoding="utf-8")
            scenario = str(file)
        from chaoskit.api import play

        out = tmp_path / "chaoskit-runs"
        return play(scenario, settings=settings, arguments=arguments, out=out, **_options(request.config))

    return run


def _is_scenario(path: Path) -> bool:
    """Whether the first key is `chaoskit:` and there are steps; profiles and promises begin with it as well."""
    try:
        lines = read_text(path).splitlines()
    except BadInput:
        return False
    keys = [line.partition(":")[0] for line in lines if line[:1].isalpha() and ":" in line]
    return bool(keys) and keys[0] == "chaoskit" and "steps" in keys


def _options(config: pytest.Config) -> dict[str, Any]:
    scale, bundle = config.getoption("--chaoskit-scale"), config.getoption("--chaoskit-bundle")
    return {
        "profile": config.getoption("--chaoskit-profile"),
        "time_scale": None if scale is None else float(scale),
        "bundle": None if bundle is None else Path(bundle),
    }


def _out(config: pytest.Config, name: str) -> Path:
    given = config.getoption("--chaoskit-out")
    if given is not None:
        return Path(given) / name
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    return factory.mktemp(name) / "chaoskit-runs"
