"""The way from the target to Alertmanager as it is loaded in a running system, by the same lints as `check`.

The one idea: a configuration that Prometheus and Alertmanager show is one like any other, so what a drill on a local
stack replaces (targets, `alerting`, relabelling, TLS) is read there and looked at with the lints for files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig
from chaoskit.check.findings import LINTS, Severity
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.errors import BadInput
from chaoskit.examine.alertmanager import Status
from chaoskit.examine.endpoint import Checked, Endpoint, NoAnswer
from chaoskit.examine.environment import LoadedConfig
from chaoskit.examine.prometheus import Alertmanagers
from chaoskit.scenario.model import Attached

_PROMISED = ("promise-alertmanagers", "promise-targets", "promise-address")
"""Lints of addresses that the promise names: the system may be reached by another name, so they only warn."""
_LOADED = "loaded.yml"


def wired(target: Attached, config: AlertConfig) -> Iterator[Checked]:
    """A line for each fault of the loaded configuration, and one that says that there is none; raises NoAnswer."""
    asked, manager = Endpoint(target, "prometheus"), Endpoint(target, "alertmanager")
    status, _ = manager.decoded("/api/v2/status", Status)
    found = [*_untold(asked, status), *_linted(asked, target, config, status.config.original)]
    yield from found
    if not found:
        yield Checked("way to Alertmanager", "ok", "nothing in the loaded configuration stands in the way")


def _untold(asked: Endpoint, status: Status) -> Iterator[Checked]:
    """A line where Prometheus knows fewer Alertmanagers than the cluster has: they share what was sent, no alerts."""
    try:
        told, _ = asked.data("/api/v1/alertmanagers", Alertmanagers)
    except NoAnswer:
        return  # that it knows none is told by another look
    known = {one.url for one in told.active_alertmanagers}
    members = {one.address for one in status.cluster.peers}
    if known and len(known) < len(members):
        said = f"the cluster has {len(members)} members ({', '.join(sorted(members))}), Prometheus tells {len(known)}"
        yield Checked("every Alertmanager is told", "missing", said, "name each in alerting: alertmanagers:")


def _linted(asked: Endpoint, target: Attached, config: AlertConfig, original: str) -> Iterator[Checked]:
    try:
        loaded = asked.data("/api/v1/status/config", LoadedConfig)[0].yaml
    except NoAnswer:
        return  # what takes Prometheus's place (Thanos, Mimir) has no such page
    ours = {key: text for key, text in config.sources.items() if key.startswith(("rules:", "promise:"))}
    try:
        there = load_texts(
            {**ours, f"prometheus:{_LOADED}": loaded, f"alertmanager:{_LOADED}": original}, complete=False
        )
    except BadInput as error:
        said = f"the loaded configuration cannot be read: {error.problems[0].message}"
        yield Checked("way to Alertmanager", "warning", said, "compare the versions with docs/attach.md")
        return
    labels = dict(there.external_labels), dict(config.external_labels)
    labels[0].pop(target.label, None)  # an environment names itself there
    labels[1].pop(target.label, None)
    if config.shows("prometheus") and labels[0] != labels[1]:
        said = f"Prometheus has {labels[0] or 'none'}, the files have {labels[1] or 'none'}"
        yield Checked("external labels", "warning", said, "labels decide who is told: load these files there")
    for finding in check(LintContext(replace(there, not_understood=()))).findings:
        if finding.severity > Severity.INFO and (LINTS[finding.id].topic == "delivery" or finding.id in _PROMISED):
            wrong = finding.severity is Severity.ERROR and finding.id not in _PROMISED
            said = f"{finding.message} [{finding.id}]"
            yield Checked("way to Alertmanager", "missing" if wrong else "warning", said, finding.todo)
