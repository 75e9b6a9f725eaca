"""Prometheus's own configuration in two versions: where alerts are sent, with which labels, and what is scraped.

The one idea: without these settings no alert is sent, even where rules and routes are right. Some are known to make no
difference; some are told; of the rest the texts do not tell which alerts they concern, and a doubt says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chaoskit.alerting.config_secrets import becoming
from chaoskit.alerting.prometheus_shown import FILLED_IN, STATIC, Settings, Shown, settings
from chaoskit.diff.model import NEVER, Broken, Change, Doubt
from chaoskit.diff.written import text_of
from chaoskit.errors import Place
from chaoskit.units import format_duration
from chaoskit.yaml_source import Node

_HARMLESS = frozenset({"remote_write", "tracing", "runtime"})
_HARMLESS_GLOBAL = frozenset({"query_log_file", "scrape_failure_log_file", "external_labels"}) | FILLED_IN
_SILENT = "Prometheus sends to no Alertmanager"
_WAS_SILENT = "Prometheus sent to no Alertmanager"
EVERY = "every alert"
_DEFAULTS = {
    "metrics_path": "/metrics", "scheme": "http", "honor_labels": "false", "honor_timestamps": "true",
    "path_prefix": "/", "timeout": "10s", "api_version": "v2",
}  # fmt: skip
"""The defaults of a section's settings, as they are usually written out."""


def prometheus_changes(old: Shown, new: Shown) -> Iterator[Change]:
    """Differences that concern all alerts, or every job; none where a side shows no configuration."""
    if not (old.given and new.given):
        return
    if old.sends != new.sends:
        place = _place(old, new, "alerting")
        said = (NEVER, "heard of") if new.sends else ("heard of", NEVER)
        yield Change(
            "gained" if new.sends else "lost", "", "", EVERY, *said, _SILENT if old.sends else _WAS_SILENT, place
        )
    if old.told != new.told and old.sends and new.sends:
        what = f"{EVERY}, Alertmanagers that Prometheus tells"
        yield Change("receiver", "", "", what, old.told, new.told, "", _place(old, new, "alerting"))
    labels = old.config.external_labels, new.config.external_labels
    for name in sorted(labels[0].keys() | labels[1].keys()):
        was, is_ = (side.get(name, "") for side in labels)
        if was != is_:
            why = "Prometheus adds external_labels to each alert that it sends and that lacks the label"
            yield Change(
                "labels", "", "", f"{EVERY}, {name}", was or "none", is_ or "none", why, _place(old, new, "global")
            )
    jobs = [{job.name: job for job in side.config.jobs} for side in (old, new)]
    for name in jobs[0].keys() & jobs[1].keys():
        for key, what in (("interval_s", "scraped every"), ("timeout_s", "given up after")):
            was_s, is_s = getattr(jobs[0][name], key), getattr(jobs[1][name], key)
            if was_s != is_s:
                texts = format_duration(was_s), format_duration(is_s)
                yield Change("scrape", "", "", f"job {name}: {what}", *texts, "", _place(old, new, "scrape_configs"))


def silenced(old: Shown, new: Shown) -> Iterator[Broken]:
    """Every promise as broken, where alerts no longer leave Prometheus."""
    if old.given and new.given and old.sends and not new.sends:
        yield Broken(f"{EVERY}: no longer sent ({_SILENT})", _place(old, new, "alerting"), "new")


def prometheus_doubts(old: Shown, new: Shown, *, rules_given: bool) -> Iterator[Doubt]:
    """Differences of which the texts do not tell whether a receiver notices them."""
    if old.given != new.given:
        side = "new" if old.given else "old"
        yield Doubt(f"the {side} side shows no Prometheus configuration", (old if old.given else new).place)
        return
    for job in [*old.jobs, *(name for name in new.jobs if name not in old.jobs)]:
        was, is_ = old.jobs.get(job), new.jobs.get(job)
        if was is None or is_ is None:
            what = "is gone" if is_ is None else "is new"
            yield Doubt(
                f"which alerts read what scrape job {job} brings, which {what}", _place(old, new, "scrape_configs")
            )
        else:
            yield from _differing(f"which alerts see other series: scrape job {job}", was, is_, new)
    sections = [[{k: v for k, v in s.items() if k != STATIC} for s in side.managers] for side in (old, new)]
    if [_texts(each) for each in sections[0]] != [_texts(each) for each in sections[1]] and old.sends and new.sends:
        yield Doubt(
            "whether alerts arrive: how Prometheus reaches its Alertmanagers differs", _place(old, new, "alerting")
        )
    rest = [{k: v for k, v in side.alerting.items() if k != "alertmanagers"} for side in (old, new)]
    yield from _differing("which alerts go out, with which labels: alerting", rest[0], rest[1], new)
    rest = [{k: v for k, v in side.general.items() if k not in _HARMLESS_GLOBAL} for side in (old, new)]
    yield from _differing("which alerts see other series: global", rest[0], rest[1], new)
    apart = _HARMLESS | {"global", "alerting", "scrape_configs"} | (frozenset() if rules_given else {"rule_files"})
    rest = [{k: v for k, v in side.top.items() if k not in apart} for side in (old, new)]
    yield from _differing("whether alerts see the same", rest[0], rest[1], new)


def _differing(what: str, was: Settings, is_: Settings, new: Shown) -> Iterator[Doubt]:
    for key in sorted(was.keys() | is_.keys()):
        texts = _text(was.get(key), key), _text(is_.get(key), key)
        if texts[0] != texts[1]:
            there = is_.get(key) or was.get(key)
            place = there.place if there is not None and key in is_ else new.place
            yield Doubt(f"{what} {key}: {' becomes '.join(becoming(*texts))}", place)


def _place(old: Shown, new: Shown, key: str) -> Place:
    found = new.top.get(key) or old.top.get(key)
    return found.place if found is not None else new.place


def _texts(section: Settings) -> Mapping[str, str]:
    return {key: _text(section.get(key), key) for key in section.keys() | _DEFAULTS.keys()}


def _text(node: Node | None, key: str) -> str:
    if node is None:
        return _DEFAULTS.get(key, "nothing")
    if key == STATIC:
        labels = [(settings(each).get("labels"), [one.raw for one in each.listed("targets")]) for each in node.items]
        flat = sorted((target, _text(of, "labels") if of else "") for of, some in labels for target in some)
        return ", ".join(f"{target} {of}".strip() for target, of in flat) or "nothing"
    return text_of(node)
