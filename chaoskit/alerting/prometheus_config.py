"""The Prometheus configuration file: how often is scraped and evaluated, and which rule files are read.

Everything else in it (discovery, relabelling, remote storage) is promtool's to check. Defaults follow
Prometheus's config package: intervals 1m, scrape_timeout 10s or the interval where that is shorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.model import Relabel, ScrapeJob
from chaoskit.alerting.relabel import read_alerting
from chaoskit.errors import Place
from chaoskit.units import format_duration
from chaoskit.yaml_source import Node

INTERVAL_S = 60.0
ASSUMED_INTERVAL_S = 15.0
"""Of scrapes and evaluations, wherever no Prometheus configuration is shown; every command that assumes it says so."""
TIMEOUT_S = 10.0

_TOP_KEYS = (
    "global", "runtime", "rule_files", "scrape_config_files", "scrape_configs", "alerting", "remote_write",
    "remote_read", "storage", "tracing", "otlp",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PrometheusFile:
    """The content of one Prometheus configuration; `rule_files` are the globs as written."""

    jobs: tuple[ScrapeJob, ...]
    evaluation_interval_s: float
    query_offset_s: float
    external_labels: Mapping[str, str]
    rule_files: tuple[Node, ...]
    relabels: tuple[Relabel, ...]


def read_prometheus(reading: Reading, text: str, file: str, needs_jobs: bool = True) -> PrometheusFile:
    """Read the file; every problem goes to `reading`. Without `needs_jobs` it may be there for its intervals alone."""
    root = reading.root(text, file, "prometheus")
    reading.known_keys(root, _TOP_KEYS, "the Prometheus configuration", ())
    general = reading.mapping(root, "global")
    interval_s = _positive(reading, general, "scrape_interval", INTERVAL_S)
    timeout_s = _timeout(reading, general, interval_s, TIMEOUT_S, "the global settings")
    jobs: list[ScrapeJob] = []
    for node in reading.mappings(root, "scrape_configs", "a scrape config"):
        name = reading.required(node, "job_name", "a scrape config")
        if any(job.name == name for job in jobs):
            reading.say(node.place, f"the job '{name}' is defined twice", "rename one")
        every_s = _positive(reading, node, "scrape_interval", interval_s)
        jobs.append(ScrapeJob(name, every_s, _timeout(reading, node, every_s, timeout_s, f"job '{name}'"), node.place))
    elsewhere = reading.get(root, "scrape_config_files")
    if elsewhere is not None:
        reading.say(elsewhere.place, "scrape_config_files is not followed", "write the jobs into scrape_configs")
    elif needs_jobs and not jobs:
        reading.say(Place(file), "no scrape_configs: no rule would ever see data", "add the job of the service")
    return PrometheusFile(
        tuple(jobs),
        _positive(reading, general, "evaluation_interval", INTERVAL_S),
        reading.duration(general, "rule_query_offset", 0.0),
        reading.string_map(general, "external_labels"),
        reading.texts(root, "rule_files"),
        read_alerting(reading, reading.mapping(root, "alerting")),
    )


def _positive(reading: Reading, node: Node, key: str, default: float) -> float:
    """A zero interval means the default, as in Prometheus."""
    return reading.duration(node, key, default) or default


def _timeout(reading: Reading, node: Node, interval_s: float, default: float, where: str) -> float:
    written = reading.optional_duration(node, "scrape_timeout")
    if not written:
        return min(default, interval_s)
    if written > interval_s:
        place = reading.get(node, "scrape_timeout")
        reading.say(
            place.place if place else node.place,
            f"scrape_timeout {format_duration(written)} of {where} is longer than"
            f" its scrape_interval {format_duration(interval_s)}",
            "Prometheus refuses this; shorten the time-out",
        )
        return interval_s
    return written
