"""Alert configuration made to run here: durations divided, addresses led to our own ports, notifications to sinks.

Everything is computed before anything starts, so that what cannot run is refused while nothing has happened. The
written files stay in the run's folder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from chaoskit.alerting.expression import expression, selectors
from chaoskit.alerting.model import of_role
from chaoskit.alerting.promql_durations import CannotScale
from chaoskit.alerting.rules import rule_document
from chaoskit.alerting.virtual import (
    instant_records,
    queries_of,
    scale_alertmanager,
    scale_prometheus,
    scale_rules,
)
from chaoskit.errors import Place, Problem, Refused
from chaoskit.localize.mail_header import GROUP_NAME, GROUP_TEMPLATE, HEADER_NAME, HEADER_TEMPLATE
from chaoskit.localize.redirect import Setting, redirect
from chaoskit.localize.sink_addresses import SinkAddress, SinkAddresses
from chaoskit.units import parse_duration
from chaoskit.yaml_source import read

DOCUMENTED = {9090: "prometheus", 9091: "metrics", 9093: "alertmanager"}
"""Ports by which configurations name the parts that a local stack has."""

_UNUSED = ("remote_write", "remote_read", "storage", "tracing")
_SCALED = {"prometheus": scale_prometheus, "alertmanager": scale_alertmanager}


@dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports of the local stack; all on loopback."""

    prometheus: int
    alertmanager: int
    metrics: int
    own: int
    webhook: int


@dataclass(frozen=True, slots=True)
class Localized:
    """The files that the stack runs with, by name, and what was done to make them run here."""

    files: Mapping[str, str]
    doors: tuple[SinkAddress, ...]
    notes: tuple[str, ...]


def localize(
    sources: Mapping[str, str],
    folder: Path,
    ports: Ports,
    scale: float,
    book: SinkAddresses,
    needed: frozenset[str],
    set_aside: Mapping[str, str],
    too_new: Collection[Setting] = (),
    asked: Collection[str] | None = None,
) -> Localized:
    """The configuration in `sources` (by role:FILE) for a stack in `folder` at a time scale.

    `asked` are the queries that this Prometheus is asked beside its rules, where all of them are known. Pages of which
    neither reads anything are not scraped then: a page costs the same at every scrape, sixty times as often at 60x.

    A rule that cannot be compressed exactly is left out and named; one that the scenario needs is Refused. Rules that
    cannot be read, and those of the expressions `set_aside`, are left out and named as well; so are settings of
    Alertmanager that are `too_new` for the one that runs (see `stack.original.fitted`).
    """
    k = Fraction(scale).limit_denominator(1000)
    if problems := incompressible(sources, scale):
        raise Refused(problems)
    by_role = _documents(sources)
    (_, prometheus), (_, alertmanager) = by_role["prometheus"][0], by_role["alertmanager"][0]
    notes = [f"{name} is left out: {text.splitlines()[1]}" for name, text in of_role(sources, "unread")]
    rule_files = _rules(of_role(sources, "rules"), prometheus, k, needed, set_aside, notes)
    prometheus = scale_prometheus(prometheus, k)
    alertmanager = scale_alertmanager(alertmanager, k)
    files = {f"rules/{name}": _dump(rule_files[given]) for given, name in _apart(rule_files).items()}
    prometheus["rule_files"] = [str(folder / name) for name in files]
    _lead_home(prometheus, ports, notes, None if asked is None else _read_by(rule_files.values(), asked))
    texts = dict(of_role(sources, "template"))
    templates = {f"templates/{name}": texts[given] for given, name in _apart(texts).items()}
    alertmanager["templates"] = [str(folder / name) for name in templates]
    redirected = redirect(alertmanager, book, folder=folder, too_new=too_new)
    for receiver in redirected.config.get("receivers", []):
        for mail in receiver.get("email_configs", []):
            ours = {HEADER_NAME: HEADER_TEMPLATE, GROUP_NAME: GROUP_TEMPLATE}
            mail["headers"] = {**(mail.get("headers") or {}), **ours}
    notes += [*redirected.replaced, *redirected.pinned]
    files |= templates
    files["prometheus.yml"] = _dump(prometheus)
    files["alertmanager.yml"] = _dump(redirected.config)
    return Localized(files, redirected.doors, tuple(notes))


def incompressible(sources: Mapping[str, str], scale: float) -> list[Problem]:
    """The settings of Prometheus and Alertmanager that keep a stack from running at this time scale; empty for none."""
    texts = [(role, *each) for role in _SCALED for each in of_role(sources, role)]
    return [problem for each in texts if (problem := _incompressible(*each, scale)) is not None]


@lru_cache(maxsize=16)
def _incompressible(role: str, name: str, text: str, scale: float) -> Problem | None:
    """The same files are asked about for every scenario."""
    try:
        _SCALED[role](_document(text, name), Fraction(scale).limit_denominator(1000))
    except CannotScale as error:
        return Problem(Place(name), f"cannot run at scale {scale:g}: {error}", "choose another --time-scale")
    return None


def _document(text: str, name: str) -> dict[str, Any]:
    return dict(read(text, name, first=True).plain() or {})


def _documents(sources: Mapping[str, str]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for role in ("prometheus", "alertmanager"):
        for name, text in of_role(sources, role):
            found.setdefault(role, []).append((name, _document(text, name)))
    return found


def _apart(names: Iterable[str]) -> dict[str, str]:
    """A name in one folder for each file: the last part of its own, with a number before it where that is taken."""
    found: dict[str, str] = {}
    for name in names:
        short = PurePosixPath(name).name
        while short in found.values():
            short = f"{len(found)}-{short}"
        found[name] = short
    return found


def _rules(
    texts: list[tuple[str, str]],
    prometheus: Mapping[str, Any],
    k: Fraction,
    needed: frozenset[str],
    set_aside: Mapping[str, str],
    notes: list[str],
) -> dict[str, dict[str, Any]]:
    every_s = parse_duration(str((prometheus.get("global") or {}).get("evaluation_interval") or "1m"))
    documents = {name: rule_document(text, name, set_aside) for name, text in texts}
    instants = instant_records([document for document, _ in documents.values()])
    lost = [name for _, left_out in documents.values() for name, _ in left_out]
    scaled, problems = {}, []
    for name, (document, left_out) in documents.items():
        notes += [f"rule {rule} is left out: {why}" for rule, why in left_out]
        scaled[name], refusals = scale_rules(document, k, every_s, instants=instants, lost=lost)
        for refusal in refusals:
            if refusal.rule in needed:
                problems.append(
                    Problem(Place(name), f"rule {refusal} (at scale {float(k):g})", "run it at --time-scale 1")
                )
            else:
                notes.append(f"rule {refusal.rule} is left out at this time scale: {refusal.reason}")
    if problems:
        raise Refused(problems)
    return scaled


def _read_by(rule_files: Iterable[Mapping[str, Any]], asked: Collection[str]) -> frozenset[str] | None:
    """The metrics that rules, their templates and queries read; None where one reads some without naming them.

    A template that puts a metric's name together cannot be compressed, so its rule is not among them.
    """
    groups = [group for document in rule_files for group in document.get("groups") or []]
    rules = [rule for group in groups for rule in group.get("rules") or []]
    texts = [
        str(text) for rule in rules for key in ("labels", "annotations") for text in (rule.get(key) or {}).values()
    ]
    queries = [query for text in texts for query in queries_of(text, {})]
    try:
        read = [each.name for text in (*(str(rule.get("expr")) for rule in rules), *queries, *asked)
                for each in selectors(expression(text))]  # fmt: skip
    except ValueError:
        return None
    return frozenset(read) if all(read) else None


_ITS_OWN = ("prometheus_", "promhttp_", "go_", "process_", "net_conntrack_", "scrape_")
"""How the names begin of what Prometheus tells of itself, and of what it notes of each scrape."""
_NOTHING = {"metrics_path": "/federate", "params": {"match[]": ["nothing"]}}
"""A page of Prometheus that is empty: `up` is as true as on its own page, which takes a fifth of its time at 60x."""


def _reads_none(read: frozenset[str] | None, begins: tuple[str, ...]) -> bool:
    return read is not None and not any(name.startswith(begins) for name in read)


def _lead_home(prometheus: dict[str, Any], ports: Ports, notes: list[str], read: frozenset[str] | None) -> None:
    for key in _UNUSED:
        if prometheus.pop(key, None) is not None:
            notes.append(f"{key} of the Prometheus configuration is not used by a local stack")
    ours = {"prometheus": ports.prometheus, "metrics": ports.metrics, "alertmanager": ports.alertmanager}
    jobs = []
    for job in prometheus.get("scrape_configs") or []:
        targets: list[int] = []
        labels: dict[str, str] = {}
        for static in job.get("static_configs") or []:
            targets += [ours[name] for target in static.get("targets", []) if (name := _named(target))]
            labels |= static.get("labels") or {}
        if not targets:
            notes.append(f"scrape job {job.get('job_name')} is left out: the local stack has no such target")
            continue
        kept = {key: value for key, value in job.items() if key in _JOB_KEPT}
        if {*targets} == {ports.prometheus} and not kept.keys() & _NOTHING.keys() and _reads_none(read, _ITS_OWN):
            kept |= _NOTHING
            notes.append(
                f"scrape job {job.get('job_name')} asks Prometheus for no metrics of its own: nothing reads them"
            )
        static = {"targets": [f"127.0.0.1:{port}" for port in dict.fromkeys(targets)]}
        jobs.append({**kept, "static_configs": [{**static, **({"labels": labels} if labels else {})}]})
    if not _reads_none(read, ("chaoskit_",)):
        own = {"targets": [f"127.0.0.1:{ports.own}"]}
        jobs.append({"job_name": "chaoskit", "static_configs": [own]})
    prometheus["scrape_configs"] = jobs
    manager = {"targets": [f"127.0.0.1:{ports.alertmanager}"]}
    alerting = prometheus.get("alerting") or {}
    parts = (alerting, *(alerting.get("alertmanagers") or ())[:1])
    steps = [step for part in parts for step in part.get("alert_relabel_configs") or ()]
    prometheus["alerting"] = {
        # An Alertmanager's own steps come after those for all; written so, every version takes them.
        **({"alert_relabel_configs": steps} if steps else {}),
        "alertmanagers": [{"api_version": "v2", "timeout": "10s", "static_configs": [manager]}],
    }


_JOB_KEPT = frozenset(
    {
        "job_name",
        "scrape_interval",
        "scrape_timeout",
        "metrics_path",
        "params",
        "honor_labels",
        "honor_timestamps",
        "relabel_configs",
        "metric_relabel_configs",
        "sample_limit",
    }
)


def _named(target: str) -> str | None:
    port = target.rpartition(":")[2]
    return DOCUMENTED.get(int(port)) if port.isdigit() else None


def _dump(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=120)
