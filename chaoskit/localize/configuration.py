"""Alert configuration made to run here: durations divided, addresses led to our own ports, notifications to sinks.

Everything is computed before anything starts, so that what cannot run is refused while nothing has happened. The
written files stay in the run's folder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from chaoskit.alerting.config_fields import root_of
from chaoskit.alerting.expression import expression, selectors
from chaoskit.alerting.model import AlertConfig, of_role
from chaoskit.alerting.promql import metrics, reads_alert
from chaoskit.alerting.promql_durations import CannotScale, divide_text
from chaoskit.alerting.rules import rule_document
from chaoskit.alerting.virtual import (
    DURATIONS,
    Refusal,
    queries_of,
    scale_alertmanager,
    scale_prometheus,
    scale_rule_files,
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
_HOLDERS = frozenset({"global", "scrape_configs", "route", "routes"})
"""The parts of their files in which durations are compressed."""


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
    set_aside: Mapping[str, str],
    too_new: Collection[Setting] = (),
    asked: Collection[str] | None = None,
) -> Localized:
    """The configuration in `sources` (by role:FILE) for a stack in `folder` at a time scale.

    `asked` are the queries that this Prometheus is asked beside its rules, where all of them are known. Pages of which
    neither reads anything are not scraped then: a page costs the same at every scrape, sixty times as often at 60x.

    A rule that cannot be compressed exactly is left out and named. Rules that cannot be read, and those of the
    expressions `set_aside`, are left out and named as well; so are settings of Alertmanager that are `too_new` for the
    one that runs (see `stack.original.fitted`). Raises Refused for other settings that cannot be compressed.
    """
    k = Fraction(scale).limit_denominator(1000)
    if problems := _settings(sources, scale):
        raise Refused(problems)
    prometheus, alertmanager = (dict(root_of(sources, role).plain() or {}) for role in ("prometheus", "alertmanager"))
    notes = [f"{name} is left out: {text.splitlines()[1]}" for name, text in of_role(sources, "unread")]
    every_s = parse_duration(str((prometheus.get("global") or {}).get("evaluation_interval") or "1m"))
    rule_files, refused, left_out = _rules(sources, k, every_s, set_aside)
    notes += [f"rule {rule} is left out: {why}" for rule, why in left_out]
    notes += [f"rule {each.rule} is left out at this time scale: {each.reason}" for each in refused]
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


def incompressible(
    config: AlertConfig, scale: float, needed: Collection[str], queries: Collection[str] = ()
) -> list[Problem]:
    """Why no stack can run at this time scale: settings of Prometheus and Alertmanager, and rules of the names `needed`
    or named by `queries`, with all that they read, that cannot be compressed or are left out, each at its place; empty
    where one can."""
    problems, every_s, aside = _settings(config.sources, scale), config.evaluation_interval_s, config.set_aside
    k = Fraction(scale).limit_denominator(1000)
    _, refused, left_out = _rules(config.sources, k, every_s, aside, readers=False)
    _, always, _ = _rules(config.sources, Fraction(1), every_s, aside)

    def asked(name: str) -> bool:
        """Whether a query names the rule; one for alerts of any name has an answer without it."""
        named = [query for query in queries if not reads_alert(query, "\0")]
        return any(name in metrics(query) for query in queries) or any(reads_alert(query, name) for query in named)

    for name, why in left_out:
        if asked(name):
            problems.append(Problem(None, f"cannot run: rule {name}, which a query reads, is left out", why))
    for found in (refused, always):
        wanted = {*needed, *(each.rule for each in found if asked(each.rule))}
        for each in (one for one in reversed(found) if one.rule in wanted):
            wanted |= {*each.reads}
            place = config.rules[each.number].place
            if found is always:
                why = "; ".join(why for name, why in left_out if name in each.reads)
                problems.append(Problem(place, f"cannot run: rule {each}", why))
            else:
                problems.append(_problem(place, scale, f"rule {each}"))
    return problems


def _problem(place: Place, scale: float, what: object) -> Problem:
    return Problem(place, f"cannot run at scale {scale:g}: {what}", "choose another --time-scale")


def _settings(sources: Mapping[str, str], scale: float) -> list[Problem]:
    texts = [(role, *each) for role in _SCALED for each in of_role(sources, role)]
    return [problem for each in texts for problem in _wrong_settings(*each, scale)]


@lru_cache(maxsize=16)
def _wrong_settings(role: str, name: str, text: str, scale: float) -> tuple[Problem, ...]:
    """The same files are asked about for every scenario."""
    root, k = read(text, name, first=True), Fraction(scale).limit_denominator(1000)
    found = []
    for path, key, value in root.walk():
        way, holders = DURATIONS[role].get(key.raw), path[:-1]
        if way and holders and _HOLDERS.issuperset(holders) and value.value not in (None, ""):
            try:
                divide_text(value.raw, k, way, f"{key.raw} of {holders[-1]}")
            except CannotScale as error:
                found.append(_problem(value.place, scale, error))
    if not found:
        try:
            _SCALED[role](dict(root.plain() or {}), k)
        except CannotScale as error:
            at = root.get(error.construct)
            found.append(_problem(at.place if at else Place(name), scale, error))
    return tuple(found)


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
    sources: Mapping[str, str], k: Fraction, every_s: float, set_aside: Mapping[str, str], *, readers: bool = True
) -> tuple[Mapping[str, dict[str, Any]], Sequence[Refusal], Sequence[tuple[str, str]]]:
    """The rule files at a time scale by name, the rules that it leaves out, and those that are at every scale.

    Without `readers`, rules that read what is left out at every scale are not among those that this one leaves out.
    """
    return _scaled_rules(tuple(of_role(sources, "rules")), k, every_s, tuple(set_aside.items()), readers)


@lru_cache(maxsize=4)
def _scaled_rules(
    texts: tuple[tuple[str, str], ...], k: Fraction, every_s: float, aside: tuple[tuple[str, str], ...], readers: bool
) -> tuple[Mapping[str, dict[str, Any]], Sequence[Refusal], Sequence[tuple[str, str]]]:
    """The same files are asked about for every scenario."""
    read = {name: rule_document(text, name, dict(aside)) for name, text in texts}
    left_out = [each for _, names in read.values() for each in names]
    if not (readers or left_out):
        return _scaled_rules(texts, k, every_s, aside, True)
    documents = {name: document for name, (document, _) in read.items()}
    lost = [name for name, _ in left_out] if readers else []
    return *scale_rule_files(documents, k, every_s, lost=lost), left_out


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
