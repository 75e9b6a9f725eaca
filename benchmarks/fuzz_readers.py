"""What the fuzzer feeds, by kind: the files it begins with, and the code of the commands that reads each of them.

Everything beside the file in question is the shipped one, read once: what is always the same need not be read for
every case, and it is the only thing that differs from what `plan`, `check`, `explain`, `verify` and `heal` do.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from unittest.mock import patch

from rich.console import Console

import chaoskit.inputs
import chaoskit.run.planning
from benchmarks.mutations import OF_HISTORIES, OF_YAML, Mutation
from benchmarks.shared import ROOT
from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles, load_config, load_texts
from chaoskit.alerting.model import AlertConfig
from chaoskit.check.lint_context import LintContext
from chaoskit.check.output import to_github, to_json
from chaoskit.check.run import check
from chaoskit.diff.compare import diff
from chaoskit.explain.alert import explain
from chaoskit.history import read_history
from chaoskit.report.explanation import explanation_view
from chaoskit.report.terminal import plan_view, verdict_view
from chaoskit.run.planning import Asked, plan_for
from chaoskit.safety.healbook import BOOK, read_book
from chaoskit.safety.unhealed import JOURNAL, Tail, read_standing
from chaoskit.scenario.loader import load_scenario_file
from chaoskit.scenario.profile import load_profile_file
from chaoskit.verify import verdict as verdicts
from chaoskit.verify.verify import verify

Reader = Callable[[Path], None]
_SHIPPED = bundle.folder()
_EXPLAINED = 3
_MANIFEST = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: x}\nspec:\n"


def scenario(file: Path) -> None:
    """As `plan`, `check` and `list` read it."""
    _show(plan_view(plan_for(Asked(str(file), "local", ConfigFiles(_SHIPPED)))[0]))
    check(LintContext(_config(), [load_scenario_file(file)], [], None, None, {}))


def profile(file: Path) -> None:
    """As `plan` and `check` read it."""
    _show(plan_view(plan_for(Asked("worker-unhealthy", str(file), ConfigFiles(_SHIPPED)))[0]))
    check(LintContext(_config(), [], [load_profile_file(file)], None, None, {}))


def rules(file: Path) -> None:
    """As `check`, `explain` and `diff` read it."""
    _told(load_config(None, [str(file)], _SHIPPED / "alertmanager.yml"))


def alertmanager(file: Path) -> None:
    """As `check`, `explain` and `diff` read it."""
    _told(load_config(None, [str(_SHIPPED / "monitoring_alerts.yml")], file))


def prometheus(file: Path) -> None:
    """As `check` reads it."""
    _told(load_config(None, [str(_SHIPPED / "monitoring_alerts.yml")], None, file))


def promise(file: Path) -> None:
    """As `check` and `explain` read it."""
    rule_files = [str(_SHIPPED / "monitoring_alerts.yml")]
    _told(load_config(None, rule_files, _SHIPPED / "alertmanager.yml", None, file))


def history(file: Path) -> None:
    """As `heal` and `status` read it, and as `verify` does; a journal must be readable for healing in any case."""
    folder = file.parent
    (folder / BOOK).write_bytes(file.read_bytes())
    read_book(folder / BOOK)
    read_standing(folder)
    Tail(folder).look()
    found = verify(read_history(folder))
    verdicts.to_json(found)
    _show(verdict_view(found))


def _told(config: AlertConfig) -> None:
    """Everything that is told of a configuration without running anything."""
    outcome = check(LintContext(config, [], [], None, None, {}))
    to_json(outcome)
    list(to_github(outcome))
    diff(config, config)
    for rule in [rule for rule in config.rules if rule.alert][:_EXPLAINED]:
        _show(explanation_view(explain(config, rule.alert, {}, [])))


def _show(view: object) -> None:
    Console(file=io.StringIO(), width=180).print(view, highlight=False)


@cache
def _config() -> AlertConfig:
    return load_config(_SHIPPED)


_known_texts: dict[int, AlertConfig] = {}


def _texts_once(sources: Mapping[str, str]) -> AlertConfig:
    """As load_texts, which it asks; the very same texts are read only once."""
    key = hash(tuple(sorted(sources.items())))
    if key not in _known_texts:
        if len(_known_texts) > 100:
            _known_texts.clear()
        _known_texts[key] = load_texts(sources)
    return _known_texts[key]


def read_the_same_once() -> None:
    """From now on this process reads the unspoilt configuration once."""
    patch.object(ConfigFiles, "load", cache(ConfigFiles.load)).start()
    patch.object(chaoskit.inputs, "load_texts", _texts_once).start()


def scratch(folder: Path) -> None:
    """Lays beside the file what an unspoilt one leads to."""
    shutil.copytree(_SHIPPED / "templates", folder / "templates")


def _read(folder: Path, pattern: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted(folder.glob(pattern)))


def _rule_files() -> tuple[bytes, ...]:
    plain = _read(_SHIPPED, "*_alerts.yml")
    indented = [b"\n".join(b"  " + line for line in text.split(b"\n")) for text in plain[:1]]
    return (*plain, *(_MANIFEST.encode() + text for text in indented))


KINDS: dict[str, tuple[Reader, str, Callable[[], tuple[bytes, ...]], tuple[Mutation, ...]]] = {
    "scenario": (scenario, "odd.yml", lambda: _read(ROOT / "scenarios", "*.yml"), OF_YAML),
    "profile": (profile, "odd.yml", lambda: _read(ROOT / "profiles", "*.yml"), OF_YAML),
    "rules": (rules, "odd.yml", _rule_files, OF_YAML),
    "alertmanager": (alertmanager, "alertmanager.yml", lambda: _read(_SHIPPED, "alertmanager.yml"), OF_YAML),
    "prometheus": (prometheus, "prometheus.yml", lambda: _read(_SHIPPED, "prometheus_config.yml"), OF_YAML),
    "promise": (promise, "notification_windows.yml", lambda: _read(_SHIPPED, "notification_windows.yml"), OF_YAML),
    "history": (history, JOURNAL, lambda: _read(ROOT / "tests" / "golden", "*.jsonl"), OF_HISTORIES),
}
"""For each kind: who reads it, under which name, what is spoilt, and how."""
