"""Changes of prometheus.yml: targets, evaluation, Alertmanagers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from chaoskit.mutate.model import operator
from chaoskit.mutate.source import Bundle, Spot, Text, items, seconds_of
from chaoskit.units import format_duration
from chaoskit.yaml_source import Node

_PORT = re.compile(r":(\d+)$")


def _jobs(bundle: Bundle) -> Iterator[tuple[Text, Node, int, Node, str]]:
    """Text, the list, the place in it from 0, the job and its name."""
    for text in bundle.of("prometheus"):
        jobs = text.root.get("scrape_configs")
        for number, job in enumerate(items(jobs)):
            name = job.get("job_name")
            if jobs is not None:
                yield text, jobs, number, job, f"job {name.raw if name else number + 1}"


def _times(key: str, factor: float, bundle: Bundle) -> Iterator[Spot]:
    places = [(text, text.root.get("global"), "global") for text in bundle.of("prometheus")]
    places += [(text, job, site) for text, _, _, job, site in _jobs(bundle)]
    for text, holder, site in places:
        node = holder.get(key) if holder is not None else None
        if node is not None and (written_s := seconds_of(node)):
            yield Spot(text, f"{site}.{key}", (text.value(node, format_duration(written_s * factor)),))


for _id, _key, _factor, _what, _why in (
    ("scrape-interval-longer", "scrape_interval", 4, "`scrape_interval` is four times as long.", "All is seen later."),
    ("scrape-interval-shorter", "scrape_interval", 0.5, "`scrape_interval` is half as long.", "It costs double."),
    ("evaluation-interval-longer", "evaluation_interval", 4, "`evaluation_interval` is four times as long.",
     "Every alert comes later."),
    ("evaluation-interval-shorter", "evaluation_interval", 0.5, "`evaluation_interval` is half as long.",
     "It costs twice as much."),
    ("scrape-timeout-shorter", "scrape_timeout", 0.01, "`scrape_timeout` is a hundredth.",
     "A page that takes its time is never read."),
):  # fmt: skip
    operator(_id, "prometheus", "detect, hold", _what, _why)(partial(_times, _key, _factor))


@operator(
    "rule-file-dropped", "prometheus", "detect", "A pattern of `rule_files` is gone.", "Its rules are in force nowhere."
)
def rule_file_dropped(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each pattern."""
    for text in bundle.of("prometheus"):
        files = text.root.get("rule_files")
        for number, each in enumerate(items(files)):
            if files is not None:
                yield Spot(text, f"rule_files.{each.raw}", text.without_item(files, number))


@operator("alerting-dropped", "prometheus", "notify", "`alerting` is gone.", "No Alertmanager hears of any alert.")
def alerting_dropped(bundle: Bundle) -> Iterator[Spot]:
    """At most one spot."""
    for text in bundle.of("prometheus"):
        if text.root.get("alerting") is not None:
            yield Spot(text, "alerting", text.without_pair(text.root, "alerting"))


@operator(
    "target-port-wrong", "prometheus", "detect, notify",
    "The port of a target, or of an Alertmanager, is the next one.", "Something else answers there, or nothing.",
)  # fmt: skip
def target_port_wrong(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each target with a port."""
    for text in bundle.of("prometheus"):
        for path, _, node in text.root.walk():
            if path and path[-1] == "targets" and node.kind == "scalar" and (found := _PORT.search(node.raw)):
                change = text.letters(node).change(*found.span(1), str(int(found[1]) + 1))
                yield Spot(text, f"{path[0]}.{node.raw}", (change,))


@operator("job-removed", "prometheus", "detect", "A scrape job is gone.", "Nothing of it is seen any more.")
def job_removed(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each job."""
    for text, jobs, number, _, site in _jobs(bundle):
        yield Spot(text, site, text.without_item(jobs, number))


@operator(
    "job-renamed", "prometheus", "detect, received", "A scrape job has another name.", "Rules and people go by it."
)
def job_renamed(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each job with a name."""
    for text, _, _, job, site in _jobs(bundle):
        if (name := job.get("job_name")) is not None:
            yield Spot(text, site, (text.value(name, f"{name.raw}-x"),))


def _relabelled(key: str, step: str, bundle: Bundle) -> Iterator[Spot]:
    for text, _, _, job, site in _jobs(bundle):
        node = job.get(key)
        changes = text.with_item(node, step) if node is not None else text.with_pair(job, key, f"[{step}]")
        yield Spot(text, f"{site}.{key}", changes)


operator(
    "target-relabelled", "prometheus", "received",
    "A job's targets carry one label more.", "Alerts that are grouped or compared by it get another value.",
)(partial(_relabelled, "relabel_configs", "{target_label: environment, replacement: other}"))  # fmt: skip
operator(
    "metric-relabelled", "prometheus", "detect",
    "A job's series are dropped.", "The rules that read them never find anything.",
)(partial(_relabelled, "metric_relabel_configs", "{source_labels: [__name__], regex: '.+', action: drop}"))  # fmt: skip


@operator(
    "alert-relabelled", "prometheus", "notify",
    "`alert_relabel_configs` takes `severity` from every alert.", "Routes that go by it match none.",
)  # fmt: skip
def alert_relabelled(bundle: Bundle) -> Iterator[Spot]:
    """At most one spot."""
    for text in bundle.of("prometheus"):
        alerting = text.root.get("alerting")
        if alerting is not None and alerting.get("alert_relabel_configs") is None:
            step = "[{regex: severity, action: labeldrop}]"
            yield Spot(text, "alerting", text.with_pair(alerting, "alert_relabel_configs", step))


@operator(
    "external-label-added", "prometheus", "received",
    "`external_labels` puts one label more on every alert.",
    "Alerts that are grouped or compared by it get another value.",
)  # fmt: skip
def external_label_added(bundle: Bundle) -> Iterator[Spot]:
    """At most one spot."""
    for text in bundle.of("prometheus"):
        top = text.root.get("global")
        if top is not None:
            labels = top.get("external_labels")
            changes = (
                text.with_pair(labels, "replica", "other")
                if labels is not None
                else text.with_pair(top, "external_labels", "{replica: other}")
            )
            yield Spot(text, "global.external_labels", changes)
