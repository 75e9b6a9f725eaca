"""Whether a target is the environment that was meant: by what it says of itself, in any of three places.

external_labels      of the loaded configuration: another value there always speaks against it
environment_from     a query, each of whose series must carry the label
metrics              the page, some series of which carries it
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from chaoskit.errors import BadInput
from chaoskit.examine.endpoint import Checked, Endpoint, NoAnswer
from chaoskit.scenario.model import Attached
from chaoskit.units import listed
from chaoskit.yaml_source import read

_NAMED = 5
_MEND = "is this the system that you mean? Name its own label and value"


class LoadedConfig(msgspec.Struct):
    """Prometheus's loaded configuration, as its API shows it."""

    yaml: str = ""


class _Series(msgspec.Struct):
    metric: dict[str, str]


class Vector(msgspec.Struct):
    """The labels of the series that a query of Prometheus has now."""

    result: list[_Series]


def environment(target: Attached) -> Iterator[Checked]:
    """A line for each place that says the environment, or another one; what is missing speaks against the target.

    Raises NoAnswer where the metrics page, or the query that was asked for, gives no answer.
    """
    page = Endpoint(target, "metrics")
    reply = page.get("")
    try:
        on_page, series = _on_page(reply.text, target)
    except ValueError as error:
        yield Checked("metrics", "missing", f"{page.url} is no page of metrics: {error}"[:400], "correct metrics: URL")
        return
    outer = _external(target)
    asked = _of_series(target) if target.environment_series else None
    page_line = f"{page.url}  {reply.took_s * 1000:.0f} ms"
    wanted = f'{target.label}="{target.environment}"'
    if outer and outer != target.environment:
        said = f"the external labels of {target.prometheus} do not say {wanted}: they say {outer}"
        yield Checked("environment", "missing", said, _MEND)
    if asked is not None and asked != {target.environment}:
        found = listed(sorted(each or "none" for each in asked)) or "it has no series"
        said = f"{target.environment_series} in {target.prometheus} does not say {wanted} throughout: {found}"
        yield Checked("environment", "missing", said, f"{_MEND}, or narrow the query")
    if target.environment in on_page:
        yield Checked("metrics", "ok", f"{series} series, {wanted}  {page_line}")
    elif on_page or not (outer or asked):
        found = f"it says {', '.join(on_page[:_NAMED])}" if on_page else "no series carries that label"
        yield Checked("metrics", "missing", f"{page.url} does not say {wanted}: {found}", _MEND)
    else:
        by = "the external labels" if outer else target.environment_series
        yield Checked("metrics", "ok", f"{series} series, {wanted} by {by}  {page_line}")


def _on_page(text: str, target: Attached) -> tuple[list[str], int]:
    """The values of the label on a page of metrics, and how many series it has; raises ValueError for another page."""
    try:
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    except (KeyError, IndexError) as error:
        raise ValueError(str(error)) from None
    return sorted({one.labels[target.label] for one in samples if target.label in one.labels}), len(samples)


def _external(target: Attached) -> str:
    """The label among the loaded external labels; empty where it is not there, or what is loaded is not shown."""
    try:
        shown = Endpoint(target, "prometheus").data("/api/v1/status/config", LoadedConfig)[0].yaml
        labels = (read(shown, "loaded.yml").get("global") or read("{}", "")).get("external_labels")
    except (NoAnswer, BadInput):
        return ""  # what takes Prometheus's place (Thanos, Mimir) has no such page
    value = labels.get(target.label) if labels is not None and labels.kind == "mapping" else None
    return value.raw if value is not None else ""


def _of_series(target: Attached) -> set[str]:
    found, _ = Endpoint(target, "prometheus").data("/api/v1/query", Vector, query=target.environment_series)
    return {one.metric.get(target.label, "") for one in found.result}
