"""A first profile for a system that runs already, from what Prometheus, Alertmanager and this host say of it.

Each line has its reason as a comment. Nothing is changed anywhere: questions to both APIs, and looks at this host.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import requests
import yaml

from chaoskit.access import ANSWER_S, plain_session, trouble
from chaoskit.draft.surroundings import Finding
from chaoskit.errors import BadInput, Problem

_MONITORING = ("prometheus", "alertmanager", "node")
_PLACES = {
    "email": "{imap: 'imaps://HOST', username: USER, password_file: secrets/mail}",
    "slack": "{channel: C0123, token_file: secrets/slack}",
    "pagerduty": "{service: P0123, token_file: secrets/pagerduty}",
}
_PAGE = "{http: {url: 'http://HOST/', find: '(?P<time>PATTERN) (?P<status>PATTERN) (?P<text>PATTERN)'}}"


@dataclass(frozen=True, slots=True)
class Line:
    """A key of the profile as YAML, and the reason for it; one that is only proposed is written as a comment."""

    text: str
    reason: str
    proposed: bool = False

    def written(self, depth: int) -> str:
        return f"{'  ' * depth}{'# ' * self.proposed}{self.text}" + f"  # {self.reason}" * bool(self.reason)


def _answer(session: requests.Session, urls: Mapping[str, str], server: str, path: str) -> Any:
    """The answer of Prometheus or Alertmanager, which is JSON; raises BadInput where none comes."""
    try:
        response = session.get(urls[server] + path, timeout=ANSWER_S)
        response.raise_for_status()
        answer = response.json()
    except (requests.RequestException, ValueError) as error:
        hint = "it must be reachable without a login; with one, write the profile by hand: docs/attach.md"
        why = trouble(error) if isinstance(error, requests.RequestException) else "its answer is no JSON"
        raise BadInput(Problem(None, f"{server} at {urls[server]}: {why}", hint)) from None
    return answer["data"] if server == "Prometheus" else answer


def written(prometheus: str, alertmanager: str, environment: str, found: Iterable[Finding]) -> str:
    """The text of a drafted profile; raises BadInput where Prometheus or Alertmanager does not answer."""
    urls = {"Prometheus": prometheus.rstrip("/"), "Alertmanager": alertmanager.rstrip("/")}
    asked = partial(_answer, plain_session(), urls)
    targets = asked("Prometheus", "/api/v1/targets?state=active")["activeTargets"]
    original = yaml.safe_load(asked("Alertmanager", "/api/v2/status")["config"]["original"]) or {}
    there = asked("Prometheus", "/api/v1/label/environment/values")
    lines = [
        "# A first profile, written by `chaoskit attach`: each line says why it is there.",
        "# Read it, and mend it: `chaoskit doctor --profile FILE` says which lines work.",
        "chaoskit: 1",
        "time_scale: 1  # a system that runs already is tested in real time",
        "target:",
        "  attached:",
        f"    prometheus: {prometheus}  # as given",
        f"    alertmanager: {alertmanager}  # as given",
        *(one.written(2) for one in (*page_of(targets), *environment_of(there, environment), *receivers_of(original))),
        "handles:",
    ]
    by_kind: dict[str, list[Finding]] = {}
    for one in found:
        by_kind.setdefault(one.kind, []).append(one)
    values = (
        {
            name: {*asked("Prometheus", f"/api/v1/label/{quote(name)}/values")}
            for name in asked("Prometheus", "/api/v1/labels")
        }
        if by_kind
        else {}
    )
    for kind, findings in by_kind.items():
        lines += [f"  {kind}:", *(handle_of(each, values).written(2) for each in findings)]
    if not by_kind:
        lines[-1] = "# handles: nothing was found on this host that a fault could act on (docs/handles.md)"
    lines += ["limits: {fault: 5m, run: 20m}  # no fault outlasts the first, even if the run dies"]
    return "\n".join(lines) + "\n"


def page_of(targets: list[dict[str, Any]]) -> Iterator[Line]:
    """The metrics page: of the targets that are up and are no monitoring, the first."""
    pages = sorted(
        targets, key=lambda one: (one["health"] != "up", any(name in one["labels"]["job"] for name in _MONITORING))
    )
    for number, one in enumerate(pages):
        why = f"Prometheus scrapes it as job {one['labels']['job']}, and it is {one['health']}"
        yield Line(f"metrics: {one['scrapeUrl']}", why, proposed=number > 0)
    if not pages:
        yield Line("metrics: http://127.0.0.1:9091/metrics", "Prometheus scrapes nothing: write the page's address")


def environment_of(there: Sequence[str], environment: str) -> Iterator[Line]:
    """The name that the system gives itself: a value that its series have of the label, or what was given."""
    if environment:
        shown = (
            "a series says so"
            if environment in there
            else "as given; no series carries environment=, so add it to the page"
        )
        yield Line(f"environment: {environment}", shown)
        return
    for number, value in enumerate(there):
        yield Line(
            f"environment: {json.dumps(value)}", "a series of Prometheus carries this label", proposed=number > 0
        )
    if not there:
        yield Line("environment: staging", "no series carries environment=: add it to the page, or to its scrape job")


def receivers_of(original: Mapping[str, Any]) -> Iterator[Line]:
    """Where notices can be seen: the recorder of the loaded configuration, and a proposal for each integration."""
    outputs = (original.get("event_recorder") or {}).get("file_outputs") or []
    for one in outputs[:1]:
        yield Line(f"recorder: {one['path']}", "the loaded configuration writes each delivery there")
    if not outputs:
        yield Line(
            "recorder: FILE", "the loaded configuration has none: `chaoskit witness config --recorder FILE`", True
        )
    places: dict[str, list[Line]] = {"mailboxes": [], "chats": []}
    for receiver in original.get("receivers") or ():
        for key, configured in receiver.items():
            kind = key.removesuffix("_configs")
            for index, one in enumerate(configured if key.endswith("_configs") else ()):
                name = f"{receiver['name']}/{kind}" + (f"/{index}" if len(configured) > 1 else "")
                where = "mailboxes" if kind == "email" else "chats"
                places[where].append(_place_of(name, kind, one or {}, recorded=bool(outputs)))
    for where, lines in places.items():
        if lines:
            yield Line(f"{where}:", "how to see what arrives where people read: docs/witness.md", proposed=True)
        yield from lines


def _place_of(name: str, kind: str, one: Mapping[str, Any], *, recorded: bool) -> Line:
    to = f"tells {one['to']}" if kind == "email" and "to" in one else "is configured"
    rest = "the recorder shows what was delivered" if recorded else "UNKNOWN without this line, or waive: in its place"
    return Line(f"  {name}: {_PLACES.get(kind, _PAGE)}", f"{to}; {rest}", proposed=True)


def handle_of(one: Finding, values: Mapping[str, set[str]]) -> Line:
    """A handle with the label whose values are the names of its things, where Prometheus knows one."""
    keys, reason = dict(one.keys), one.reason
    for label, known in sorted(values.items()):
        if len(one.things) > 1 and known >= {*one.things}:
            keys["label"], reason = label, f"{reason}; the label {label} has these values"
            break
    inner = yaml.safe_dump(keys, default_flow_style=True, sort_keys=False, width=10**6).strip()
    return Line(f"{one.name}: {inner}", reason)
