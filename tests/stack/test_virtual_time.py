"""Compression changes nothing that the real Prometheus makes of an expression.

The same history is given to the real engine twice: as it is, and with every timestamp's distance from the start
divided by k. The compressed expression must then say of the second what the original says of the first.
"""

from __future__ import annotations

import math
import random
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import stamina
import yaml

from chaoskit.alerting.promql import CannotScale, is_instant, scale
from chaoskit.alerting.virtual import prometheus_flags, scale_prometheus
from chaoskit.stack.binaries import Binaries, numbers

pytestmark = pytest.mark.stack


@pytest.fixture(scope="session")
def binaries(generation: Binaries) -> Binaries:
    """Each Debian generation's programs in turn, in place of this machine's own."""
    return generation


K = 60
START = 1_599_998_400  # a multiple of every step used here, so that subqueries are aligned alike at both scales
SCRAPE_S = 15
SAMPLES = 481
CORPUS = [
    line.split("  =>  ")
    for line in (Path(__file__).parents[1] / "unit" / "promql_corpus.txt").read_text().splitlines()
    if "  =>  " in line and not line.startswith("#")
]
TODAY = [(expr, scaled) for expr, scaled in CORPUS if not expr.startswith("3: ")]


def results(binaries: Binaries) -> list[str]:
    """Today's expressions that have a result and that this generation knows: Prometheus 3 gave one another name."""
    renamed = numbers(binaries.versions["prometheus"]) >= (3,)
    exprs = [expr for expr, _ in TODAY if not expr.endswith(":1m] offset 10m")]
    return [expr for expr in exprs if not (renamed and "holt_winters" in expr)]


@dataclass(frozen=True)
class Series:
    """A metric's values at each scrape (None: not there); `clock` says how a value is compressed, if it is at all."""

    name: str
    values: list[float | None]
    clock: Callable[[float, int], float] = lambda value, k: value


def _instant(value: float, k: int) -> float:
    return START + (value - START) / k


def _own_length(value: float, k: int) -> float:
    return value / k


def _history() -> list[Series]:
    dice = random.Random(7)  # the same history every time
    found = []
    for job in ("mail", "web", "work"):
        depth, done = 20.0, START - 30.0
        depths, stamps = [], []
        for i in range(SAMPLES):
            depth = max(0.0, depth + dice.choice([-3, -1, 0, 1, 3]))
            if dice.random() < 0.05:
                done = START + i * SCRAPE_S
            depths.append(depth if i % 97 < 90 else None)
            stamps.append(done)
        found.append(Series(f'queue_depth{{job="{job}"}}', depths))
        found.append(Series(f'last_success_timestamp_seconds{{job="{job}"}}', stamps, _instant))
        found.append(Series(f'last_finished{{job="{job}"}}', [stamp + 45 for stamp in stamps], _instant))
        found.append(
            Series(f'scrape_duration_seconds{{job="{job}"}}', [d / 9 for d in depths if d is not None], _own_length)
        )
        for code in ("200", "500"):
            found.append(Series(f'requests_total{{job="{job}",code="{code}"}}', _counter(dice)))
    buckets = [_counter(dice) for _ in range(3)]
    for i, le in enumerate(("0.5", "2", "+Inf")):
        total = [sum(bucket[j] or 0 for bucket in buckets[: i + 1]) for j in range(SAMPLES)]
        found.append(Series(f'latency_seconds_bucket{{le="{le}"}}', list(total)))
    found.append(Series("latency_seconds_count", list(total)))
    found.append(Series("latency_seconds_sum", [value * 0.7 for value in total]))
    found.append(Series("gone_total", [*_counter(dice)[:200], *[None] * (SAMPLES - 200)]))
    found.append(Series("up", [1.0] * SAMPLES))
    return found


def _counter(dice: random.Random) -> list[float | None]:
    value, values = 0.0, []
    for _ in range(SAMPLES):
        value = 0.0 if dice.random() < 0.01 else value + dice.choice([0, 0, dice.uniform(1, 9)])
        values.append(value)
    return list(values)


def _openmetrics(history: list[Series], k: int) -> str:
    lines = []
    for series in history:
        for i, value in enumerate(series.values):
            if value is not None:
                at = START + i * SCRAPE_S / k
                lines.append(f"{series.name} {series.clock(value, k)!r} {at:.3f}")
    return "\n".join([*lines, "# EOF", ""])


class Engine:
    """A real Prometheus over one history, whose queries count time from the history's start, in virtual seconds."""

    def __init__(self, url: str, k: int) -> None:
        self.url = url
        self.k = k

    def evaluate(self, expr: str, start_vs: float, end_vs: float, step_vs: float) -> dict[tuple[str, int], float]:
        """Value by labels and number of the step; raises AssertionError with Prometheus's own words."""
        answer = requests.get(
            f"{self.url}/api/v1/query_range",
            {
                "query": expr,
                "start": f"{START + start_vs / self.k:.3f}",
                "end": f"{START + end_vs / self.k:.3f}",
                "step": f"{step_vs / self.k:.3f}",
            },
            timeout=20,
        ).json()
        assert answer["status"] == "success", (expr, answer)
        found = {}
        for series in answer["data"]["result"]:
            # An operator takes away the metric's name, and so does a rule from every result.
            labels = str(sorted((name, value) for name, value in series["metric"].items() if name != "__name__"))
            for at, value in series["values"]:
                found[labels, round(((at - START) * self.k - start_vs) / step_vs)] = float(value)
        return found


@contextmanager
def _engine(prometheus: Path, promtool: Path, folder: Path, k: int) -> Iterator[Engine]:
    folder.mkdir()
    (folder / "history.txt").write_text(_openmetrics(_history(), k))
    blocks = ["tsdb", "create-blocks-from", "openmetrics", folder / "history.txt", folder / "data"]
    subprocess.run([promtool, *blocks], check=True, capture_output=True, timeout=60)
    (folder / "prometheus.yml").write_text(
        yaml.safe_dump(scale_prometheus({"global": {"evaluation_interval": "30s"}}, k))
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        prometheus,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        *prometheus_flags(k),
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for attempt in stamina.retry_context(on=requests.RequestException, timeout=30, wait_max=0.2, attempts=None):
                with attempt:
                    requests.get(f"{url}/-/ready", timeout=2).raise_for_status()
            yield Engine(url, k)
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="module")
def engines(binaries: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Engine]]:
    folder = tmp_path_factory.mktemp("engines")
    with ExitStack() as stack:
        found = [
            stack.enter_context(_engine(binaries.prometheus, binaries.promtool, folder / str(k), k)) for k in (1, K)
        ]
        yield found[0], found[1]


def _differences(engines: tuple[Engine, Engine], expr: str, scaled: str) -> list[str]:
    """Where the compressed expression on the compressed history differs from the original on the original."""
    window = (1806.0, 7206.0, 90.0)  # 6 s beside the scrapes, so that no sample lies on the edge of a range
    full, compressed = (engine.evaluate(text, *window) for engine, text in zip(engines, (expr, scaled), strict=True))
    # Instants are near 1.6e9, where a float's last digit is 2.4e-7 s: 1.4e-5 virtual ones.
    close = 1e-4 if "time" in expr else 1e-7
    found = [f"only at one scale: {key}" for key in full.keys() ^ compressed.keys()]
    for key in full.keys() & compressed.keys():
        one, other = full[key], compressed[key]
        if is_instant(expr):
            one = _instant(one, K)
        if not (math.isclose(one, other, rel_tol=1e-7, abs_tol=close) or (math.isnan(one) and math.isnan(other))):
            found.append(f"{key}: {one} and {other}")
    return found


@pytest.mark.parametrize(("expr", "scaled"), TODAY)
def test_a_compressed_expression_has_the_same_values_at_the_same_virtual_instants(
    engines: tuple[Engine, Engine], binaries: Binaries, expr: str, scaled: str
) -> None:
    if expr.endswith(":1m] offset 10m"):
        expr, scaled = f"sum_over_time({expr})", f"sum_over_time({scaled})"  # a range by itself is no result
    elif expr not in results(binaries):
        pytest.skip("this Prometheus has another name for it")
    assert scale(expr, K) == scaled
    assert _differences(engines, expr, scaled) == []


def test_the_corpus_mostly_evaluates_to_something(engines: tuple[Engine, Engine], binaries: Binaries) -> None:
    """Equality of two empty answers proves nothing: at most one expression in ten may have one."""
    exprs = results(binaries)
    empty = [expr for expr in exprs if not engines[0].evaluate(expr, 1806.0, 7206.0, 90.0)]
    assert len(empty) * 10 <= len(exprs), empty


@pytest.mark.parametrize(
    ("expr", "wrong"),
    [
        ("rate(requests_total[5m])", "rate(requests_total[5s])"),
        ("rate(requests_total[5m]) > 0.2", "rate(requests_total[5s]) > 0.2"),
        ("rate(requests_total[5m])", "rate(requests_total[6s]) / 60"),
        ("rate(requests_total[5m])", "rate(requests_total[5m]) / 60"),
        ("increase(requests_total[5m])", "increase(requests_total[5s]) / 60"),
        ("queue_depth offset 10m", "queue_depth offset 10m"),
        ("queue_depth offset 10m", "queue_depth offset 11s"),
        ("max_over_time(queue_depth[10m:1m])", "max_over_time(queue_depth[10s:3s])"),
        ("sum_over_time(queue_depth[10m:])", "sum_over_time(queue_depth[10s:1s])"),
        ("predict_linear(queue_depth[10m], 600)", "predict_linear(queue_depth[10s], 600)"),
        ("time() - last_success_timestamp_seconds", "time() - last_success_timestamp_seconds"),
        ("last_success_timestamp_seconds + 600 < time()", "last_success_timestamp_seconds + 600 < time()"),
        ("deriv(rate(requests_total[5m])[10m:1m])", "deriv((rate(requests_total[5s]) / 60)[10s:1s])"),
    ],
)
def test_a_wrongly_compressed_expression_is_found_out(engines: tuple[Engine, Engine], expr: str, wrong: str) -> None:
    """The negative control: this way of comparing can fail, for each way of being wrong."""
    assert _differences(engines, expr, wrong)


def test_without_the_scaled_look_back_a_gap_would_be_bridged(engines: tuple[Engine, Engine]) -> None:
    """`gone_total` ends after 50 virtual minutes; five more it is still seen, at both scales."""
    for engine, expr in zip(engines, ("gone_total", scale("gone_total", K)), strict=True):
        assert engine.evaluate(expr, 3210, 3270, 60)
        assert not engine.evaluate(expr, 3300, 4200, 60)


def test_promtool_accepts_whatever_was_compressed(binaries: Binaries, tmp_path: Path) -> None:
    """Each expression of today's corpus as a rule of its own, at several scales."""
    exprs = results(binaries)
    for k in (7, 60, 600, 0.5):
        rules = []
        for i, expr in enumerate(exprs):
            with suppress(CannotScale):  # a duration that this scale does not divide
                rules.append({"record": f"r{i}", "expr": scale(expr, k)})
        assert len(rules) > 0.8 * len(exprs)
        (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
        done = subprocess.run(
            [binaries.promtool, "check", "rules", "--lint=none", tmp_path / "rules.yml"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
