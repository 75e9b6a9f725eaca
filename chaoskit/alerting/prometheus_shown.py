"""Prometheus's own configuration as it is written: which Alertmanagers it tells, what it scrapes, by which addresses.

The one idea: of these settings nothing is interpreted when a configuration is read, so a lint or a
comparison that asks about them reads the text by these few properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from chaoskit.alerting.config_fields import Reading, root_of
from chaoskit.alerting.config_secrets import unmarked
from chaoskit.alerting.model import AlertConfig, Relabel
from chaoskit.alerting.relabel import read_steps
from chaoskit.errors import Place
from chaoskit.yaml_source import Node

STATIC = "static_configs"
# Compared as the jobs', the rules' and the alerts' own, once the defaults are filled in.
FILLED_IN = frozenset({"scrape_interval", "scrape_timeout", "evaluation_interval", "rule_query_offset"})

Settings = Mapping[str, Node]


class Shown:
    """One side's Prometheus configuration as it is written; `given` is False where none was shown."""

    def __init__(self, config: AlertConfig) -> None:
        self.given = config.shows("prometheus")
        self.config = config
        self._root = root_of(config.told_apart, "prometheus")
        self.place = Place(self._root.place.file)

    @cached_property
    def top(self) -> Settings:
        return settings(self._root)

    @cached_property
    def general(self) -> Settings:
        return settings(self.top.get("global"))

    @cached_property
    def alerting(self) -> Settings:
        return settings(self.top.get("alerting"))

    @cached_property
    def managers(self) -> tuple[Settings, ...]:
        """The sections of prometheus.yml that name Alertmanagers."""
        return tuple(map(settings, self._root.listed("alerting", "alertmanagers")))

    @cached_property
    def targets(self) -> tuple[Node, ...]:
        """The addresses of Alertmanagers, of all sections."""
        return tuple(target for section in self.managers for target in targets(section))

    @property
    def sends(self) -> bool:
        """Whether any section leads to an Alertmanager: by a target, or by a discovery of some kind."""
        return bool(self.targets) or any(map(discovers, self.managers))

    @cached_property
    def told(self) -> str:
        """The addresses of Alertmanagers that Prometheus's configuration names, for a message."""
        return unmarked(", ".join(sorted({target.raw for target in self.targets}))) or "none by name"

    @cached_property
    def jobs(self) -> Mapping[str, Settings]:
        """By name: what each scrape job says, apart from its intervals."""
        return {
            job["job_name"].raw: {key: node for key, node in job.items() if key not in FILLED_IN}
            for job in map(settings, self._root.listed("scrape_configs"))
            if "job_name" in job
        }


def settings(node: Node | None) -> Settings:
    """The keys of a section of prometheus.yml with their values; empty where there is no such section."""
    return {key.raw: value for key, value in node.pairs} if node is not None else {}


def targets(section: Settings) -> tuple[Node, ...]:
    """The addresses that a section names itself."""
    node = section.get(STATIC)
    return tuple(target for group in (node.items if node is not None else ()) for target in group.listed("targets"))


def discovers(section: Settings) -> bool:
    """Whether a section finds addresses that the text does not name."""
    return any(key.endswith("_sd_configs") and value.items for key, value in section.items())


def steps(section: Settings, key: str) -> tuple[Relabel, ...]:
    """The relabelling steps below this key of a section; one that cannot be read is left out."""
    node = section.get(key)
    return read_steps(Reading(), node.items) if node is not None else ()


def added_labels(section: Settings) -> set[str]:
    """The labels that a job adds to its series: those of its targets, and those that a step of relabelling sets."""
    static = section.get(STATIC)
    groups = static.items if static is not None else ()
    found = {key for group in groups for key in settings(group.get("labels"))}
    for step in (*steps(section, "relabel_configs"), *steps(section, "metric_relabel_configs")):
        found |= {step.target} - {""}
    return {name for name in found if not name.startswith("__")}


def host_and_port(address: str, scheme: str = "http") -> str:
    """The address as two are compared: without a scheme and a path, its port filled in, loopback by one name."""
    written, _, rest = address.rpartition("://")
    scheme = written or scheme
    host = rest.partition("/")[0].rpartition("@")[2].casefold()
    name, colon, port = host.rpartition(":")
    if not colon or "]" in port:
        name, port = host, "443" if scheme == "https" else "80"
    return f"{'localhost' if name in ('127.0.0.1', '[::1]', '0.0.0.0') else name}:{port}"
