"""One Prometheus as evidence is fetched from it: raw samples, values at borders, its clock, and what answers there."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests

from chaoskit import json_text
from chaoskit.access import session_at, trouble
from chaoskit.errors import EquipmentError
from chaoskit.host.ports import LOOPBACKS
from chaoskit.sla.targets import SourceAt
from chaoskit.units import parse_duration

ANSWER_LIMIT_S = 60.0
_NUMBERED = re.compile(r"[23]\.\d+\.\d+")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Series:
    """A series' labels, without its name, and its samples: instants in milliseconds and values, in order."""

    labels: Mapping[str, str]
    times: Sequence[int]
    values: list[float]


@dataclass(frozen=True, slots=True)
class Server:
    """The answering program: version, whether it is Prometheus itself, how long it keeps samples (None: not told)."""

    version: str
    genuine: bool
    retention_s: float | None


@dataclass(frozen=True, slots=True)
class Rule:
    """An alerting rule as it is loaded: how often it is evaluated, and its keep_firing_for."""

    name: str
    interval_s: float
    kept_s: float


class _Rule(msgspec.Struct, rename="camel"):
    name: str
    keep_firing_for: float = 0.0


class _Group(msgspec.Struct):
    interval: float
    rules: list[_Rule]


class _Groups(msgspec.Struct):
    groups: list[_Group] = []


class _Matrix(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []
    value: tuple[float, str] | None = None


class _Result(msgspec.Struct, rename="camel"):
    result_type: str
    result: msgspec.Raw


class _Answer(msgspec.Struct):
    status: Literal["success", "error"]
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""


class Source:
    """Asks one Prometheus; every method raises EquipmentError where it does not answer as one. For several threads."""

    def __init__(self, at: SourceAt) -> None:
        self.at = at
        self.url = at.url
        self._local = threading.local()

    def now(self) -> float:
        """The time of the source's clock, in seconds since the epoch."""
        return float(self._query({"query": "time()"}, tuple[float, str])[0])

    def instant(self, query: str, at: float) -> list[Series]:
        """A query's value at an instant: series of one sample."""
        return _series(self._query({"query": query, "time": f"{at:.3f}"}, list[_Matrix]))

    def raw(self, selector: str, begin: float, end: float) -> list[Series]:
        """A selector's samples in (begin, end], as they were scraped."""
        length_ms = round((end - begin) * 1000)
        found = _series(self._query({"query": f"{selector}[{length_ms}ms]", "time": f"{end:.3f}"}, list[_Matrix]))
        first = round(begin * 1000)
        # Prometheus 2 includes a sample at the begin, later ones do not.
        return [
            Series(one.labels, one.times[1:], one.values[1:]) if one.times and one.times[0] <= first else one
            for one in found
        ]

    def range(self, query: str, begin: int, end: int, step_s: int) -> list[Series]:
        """A query's values at begin, begin + step and so on up to the end."""
        params = {"query": query, "start": str(begin), "end": str(end), "step": str(step_s)}
        grid = list(range(begin * 1000, end * 1000 + 1, step_s * 1000))
        return _series(self._query(params, list[_Matrix], "/api/v1/query_range"), grid)

    def label_values(self, label: str, selector: str, begin: int, end: int) -> list[str]:
        """The values of a label on the series of a selector in this time."""
        params = {"match[]": selector, "start": str(begin), "end": str(end)}
        return self._get(f"/api/v1/label/{label}/values", params, list[str])

    def rules(self) -> list[Rule]:
        """The alerting rules that are loaded now; none where it does not tell."""
        told = self._get("/api/v1/rules", {"type": "alert"}, _Groups, optional=True)
        return [Rule(rule.name, group.interval, rule.keep_firing_for) for group in told.groups for rule in group.rules]

    def server(self) -> Server:
        """Asks the server for its version and retention; raises EquipmentError where it does not answer."""
        build = self._get("/api/v1/status/buildinfo", {}, dict[str, Any], optional=True) or {}
        runtime = self._get("/api/v1/status/runtimeinfo", {}, dict[str, Any], optional=True) or {}
        version = str(build.get("version", ""))
        application = str(build.get("application", "Prometheus"))
        kept = str(runtime.get("storageRetention", ""))
        return Server(
            version=f"{application} {version}".strip(),
            genuine=application == "Prometheus" and bool(_NUMBERED.match(version)) and bool(kept),
            retention_s=_shortest(kept),
        )

    def _query(self, params: Mapping[str, str], kind: type[T], path: str = "/api/v1/query") -> T:
        found = self._get(path, params, _Result)
        return json_text.decode(found.result, type=kind)

    def _get(self, path: str, params: Mapping[str, str], kind: type[T], *, optional: bool = False) -> T:
        try:
            response = self._session().get(self.url + path, params=params, timeout=ANSWER_LIMIT_S)
            answer = json_text.decode(response.content, type=_Answer)
            if answer.status == "success":
                return json_text.decode(answer.data, type=kind)
        except requests.RequestException as error:
            raise self._failed(trouble(error), "see that the server runs and can be reached from here") from None
        except msgspec.DecodeError:
            if optional:
                return kind()
            said = f"status {response.status_code} and no answer of Prometheus's API"
            hint = "correct access: in targets.yml" if response.status_code in (401, 403) else "correct the URL"
            raise self._failed(said, hint) from None
        if optional:
            return kind()
        raise self._failed(f"it refuses: {answer.error[:300]}", "")

    def _failed(self, said: str, hint: str) -> EquipmentError:
        where = f"{self.at.place}: " if self.at.place else ""
        return EquipmentError(f"{where}Prometheus at {self.url}", said, hint)

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = session_at(self.url, self.at.access)
            if urlsplit(self.url).hostname in LOOPBACKS:
                self._local.session.headers["Accept-Encoding"] = "identity"  # packing costs more than it saves
        found: requests.Session = self._local.session
        return found


def selector(metric: str, where: Mapping[str, str], *more: str) -> str:
    """A selector of PromQL: `up{job="shop"}`; values that are patterns are matched as such."""
    inside = [f"{key}{'=' if _plain(value) else '=~'}{_quoted(value)}" for key, value in where.items()]
    return metric + "{" + ",".join([*inside, *more]) + "}"


def environment_of(labels: Mapping[str, str], label: str, default: str) -> str:
    """The environment that a series belongs to."""
    return labels.get(label) or default


def doubled(found: Iterable[Series]) -> str:
    """The label in which alone two series differ and that names replicas; empty where there is none."""
    seen: dict[frozenset[tuple[str, str]], Mapping[str, str]] = {}
    for one in found:
        names = [name for name in one.labels if "replica" in name.lower()]
        rest = frozenset((key, value) for key, value in one.labels.items() if key not in names)
        other = seen.setdefault(rest, one.labels)
        if other is not one.labels:
            return next((name for name in {**one.labels, **other} if one.labels.get(name) != other.get(name)), "")
    return ""


def _series(found: list[_Matrix], grid: Sequence[int] = ()) -> list[Series]:
    """The decoded series; one with a sample at each instant of `grid` takes the grid as its times."""
    made = []
    for one in found:
        values = one.values or ([one.value] if one.value is not None else [])
        one.metric.pop("__name__", None)
        times = grid if len(values) == len(grid) else [round(at * 1000) for at, _ in values]
        made.append(Series(one.metric, times, [float(value) for _, value in values]))
    return made


def _plain(value: str) -> bool:
    return re.fullmatch(r"[\w\- :/@%,;=<>]*", value, re.ASCII) is not None


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _shortest(kept: str) -> float | None:
    """The time of `15d`, `15d or 512MiB` or `512MiB`."""
    for word in kept.split(" or "):
        try:
            return parse_duration(word.strip())
        except ValueError:
            continue
    return None
