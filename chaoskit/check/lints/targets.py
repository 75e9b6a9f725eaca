"""Does each job scrape what it is meant to? A drill puts its own addresses in place of the targets."""

from __future__ import annotations

import json
from collections.abc import Iterator

from chaoskit.alerting.prometheus_shown import Settings, added_labels, discovers, host_and_port, targets
from chaoskit.check.findings import AGREE, DISCOVERED, Severity, Violation, lint, unseen
from chaoskit.check.lint_context import LintContext
from chaoskit.check.lints.alerting import other_addresses
from chaoskit.yaml_source import Node

_PAGE = ("metrics_path", "params")
"""Settings that lead to another page of the same address."""


@lint("promise-targets", Severity.ERROR, "promise", ("promise", "prometheus"))
def promised_targets(context: LintContext) -> Iterator[Violation]:
    """A job scrapes other addresses than promised.

    Its alerts are about something else, or about nothing; a wrong port is enough, and no drill sees it.
    """
    jobs = context.shown.jobs
    for name, promised in context.config.promise.targets.items():
        job = jobs.get(name)
        where = f"the job {name} at {job['job_name'].place}" if job is not None else ""
        if job is not None and (said := other_addresses(promised.at, targets(job), discovers(job))):
            yield Violation(promised.place, f"{where}: {said}", AGREE)
        elif job is not None and discovers(job):
            yield unseen(promised.place, where, DISCOVERED)


@lint("promise-job-labels", Severity.ERROR, "promise", ("promise", "prometheus"))
def promised_labels(context: LintContext) -> Iterator[Violation]:
    """A job adds other labels to its series than promised.

    A label that the series bring themselves is then called `exported_...`, and rules, routes, groups and inhibitions
    that go by it see the job's value.
    """
    for name, promised in context.config.promise.added.items():
        job = context.shown.jobs.get(name)
        if job is not None:
            found, place = added_labels(job), context.config.promise.jobs[name].place
            where, lacking = f"the job {name} at {job['job_name'].place}", sorted(set(promised) - found)
            said = [f"adds {each}, which is not promised" for each in sorted(found - set(promised))]
            said += [f"does not add {each}" for each in lacking if not discovers(job)]
            if said:
                yield Violation(place, f"{where} {' and '.join(said)}", AGREE)
            elif lacking:
                yield unseen(place, where, DISCOVERED)


@lint("target-twice", Severity.WARNING, "delivery", ("prometheus",))
def target_twice(context: LintContext) -> Iterator[Violation]:
    """Two jobs scrape the same page of the same address.

    Every sum over jobs counts it twice; most often one of the two ports is a slip, and what it should lead to is not
    watched.
    """
    seen: dict[tuple[str, ...], tuple[str, Node]] = {}
    for name, job in context.shown.jobs.items():
        for target in targets(job) if "relabel_configs" not in job else ():
            key = (host_and_port(target.raw, _scheme(job)), *(_plain(job.get(each)) for each in _PAGE))
            first, node = seen.setdefault(key, (name, target))
            if first != name:
                message = f"the job {name} scrapes {target.raw}, and so does the job {first} ({node.place})"
                yield Violation(target.place, message, "correct the port, or keep one of the two")


@lint("target-without-port", Severity.WARNING, "delivery", ("prometheus",))
def target_without_port(context: LintContext) -> Iterator[Violation]:
    """A target, or an Alertmanager, is written without a port.

    It is asked at port 80, or 443 with https, where a metrics page seldom is.
    """
    managers = [("alerting", section) for section in context.shown.managers]
    for name, section in (*context.shown.jobs.items(), *managers):
        for target in targets(section) if "relabel_configs" not in section else ():
            if not target.raw.endswith(f":{(port := host_and_port(target.raw, _scheme(section)).rpartition(':')[2])}"):
                message = f"{target.raw} of {name} has no port, so port {port} is asked"
                yield Violation(target.place, message, f"write {target.raw}:PORT")


def _scheme(section: Settings) -> str:
    return section["scheme"].raw if "scheme" in section else "http"


def _plain(node: Node | None) -> str:
    return json.dumps(node.plain(), sort_keys=True) if node is not None else ""
