"""Changes of prometheus.yml: targets, evaluation, Alertmanagers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from chaoskit.mutate.model import operator
from chaoskit.mutate.source import Bundle, Part, Spot, of_each

_PORT = re.compile(r":(\d+)$")


def _roots(bundle: Bundle) -> list[Part]:
    return bundle.roots("prometheus")


def _timed(bundle: Bundle) -> Iterator[Part]:
    for root in _roots(bundle):
        yield from root.below("global")
    yield from bundle.jobs


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
    _change = partial(Part.scaled, key=_key, factor=_factor)
    operator(_id, "prometheus", "detect, hold", _what, _why)(of_each(_timed, _change))
operator(
    "rule-file-dropped", "prometheus", "detect", "A pattern of `rule_files` is gone.", "Its rules are in force nowhere."
)(of_each(_roots, partial(Part.without_each, key="rule_files")))  # fmt: skip
operator("alerting-dropped", "prometheus", "notify", "`alerting` is gone.", "No Alertmanager hears of any alert.")(
    of_each(_roots, partial(Part.without, key="alerting"))
)


@operator(
    "target-port-wrong", "prometheus", "detect, notify",
    "The port of a target, or of an Alertmanager, is the next one.", "Something else answers there, or nothing.",
)  # fmt: skip
def target_port_wrong(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each target with a port."""
    for root in _roots(bundle):
        for path, _, node in root.node.walk():
            if path and path[-1] == "targets" and node.kind == "scalar" and (found := _PORT.search(node.raw)):
                change = root.text.letters(node).change(*found.span(1), str(int(found[1]) + 1))
                yield root.spot(f"{path[0]}.{node.raw}", change)


operator("job-removed", "prometheus", "detect", "A scrape job is gone.", "Nothing of it is seen any more.")(
    of_each(lambda bundle: bundle.jobs, Part.removed)
)


@operator(
    "job-renamed", "prometheus", "detect, received", "A scrape job has another name.", "Rules and people go by it."
)
def job_renamed(bundle: Bundle) -> Iterator[Spot]:
    """One spot for each job with a name."""
    for job in bundle.jobs:
        if (name := job.node.get("job_name")) is not None:
            yield job.spot("", job.text.value(name, f"{name.raw}-x"))


def _relabelled(key: str, step: str, bundle: Bundle) -> Iterator[Spot]:
    for job in bundle.jobs:
        yield job.spot(key, *job.listing(key, step))


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
    """Where alert_relabel_configs can be added or changed: at most one spot."""
    for root in _roots(bundle):
        for alerting in root.below("alerting"):
            if alerting.node.get("alert_relabel_configs") is None:
                step = "{regex: severity, action: labeldrop}"
                yield root.spot("alerting", *alerting.listing("alert_relabel_configs", step))


@operator(
    "external-label-added", "prometheus", "received",
    "`external_labels` puts one label more on every alert.",
    "Alerts that are grouped or compared by it get another value.",
)  # fmt: skip
def external_label_added(bundle: Bundle) -> Iterator[Spot]:
    """Where an external label can be added: at most one spot."""
    for root in _roots(bundle):
        for top in root.below("global"):
            changes = [
                labels.text.with_pair(labels.node, "replica", "other") for labels in top.below("external_labels")
            ] or [top.saying("external_labels", "{replica: other}")]
            yield top.spot("external_labels", *changes[0])
