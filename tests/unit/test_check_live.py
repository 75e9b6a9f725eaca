"""`check --prometheus-url`: metrics, labels and jobs of a live Prometheus; what was renamed leaves alerts asleep."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from chaoskit.cli import run
from tests.reverse_proxy import Proxy, proxied

SERIES = {
    "orders_waiting": [{"job": "shop", "queue": "mail"}, {"job": "shop", "queue": "sms"}],
    "http_requests_total": [{"job": "shop", "code": "200"}],
}


class Prometheus(Proxy):
    """The part of Prometheus's HTTP API that tells what there is."""

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(path)
        found = SERIES.get(parse_qs(parts.query).get("match[]", [""])[0], [])
        data: object = {
            "/api/v1/label/__name__/values": sorted(SERIES),
            "/api/v1/metadata": {"http_requests": [{"type": "counter"}], "odd.name": [{"type": "gauge"}]},
            "/api/v1/labels": sorted({key for one in found for key in one}),
            "/api/v1/label/job/values": sorted({one["job"] for one in found}),
        }.get(parts.path)
        return (
            (200, {}, json.dumps({"status": "success", "data": data}).encode()) if data is not None else (404, {}, b"")
        )


@pytest.fixture
def url() -> Iterator[str]:
    with proxied(Prometheus({})) as server:
        yield server.url


def checked(folder: Path, url: str, expr: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    rules = folder / "rules.yml"
    rules.write_text(
        f"groups: [{{name: g, rules: [{{alert: A, expr: '{expr}', for: 1m, labels: {{severity: warning}}}}]}}]\n"
    )
    words = ["check", "--rules", str(rules), "--prometheus-url", url, "--format", "json", "--no-programs"]
    code = run(words)
    said = capsys.readouterr()
    found = json.loads(said.out)["findings"] if said.out else []
    return code, [one["message"] for one in found if one["id"] == "unknown-metric"] or [said.err]


@pytest.mark.parametrize(
    "expr",
    [
        'orders_waiting{queue="mail"} > 5',
        'orders_waiting{queue="fax"} > 5',  # a value may come yet
        'rate(http_requests_total{job=~"sh.*",code=~"5.."}[5m]) > 1',
        'orders_waiting{gone=""} > 5',
        'up{job="other"} == 0',
    ],
)
def test_what_is_there_is_no_finding(tmp_path: Path, url: str, expr: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(tmp_path, url, expr, capsys) == (0, [""])


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("orders_wating > 5", "reads orders_wating, which nothing exports"),
        ('orders_waiting{kind="mail"} > 5', 'reads orders_waiting{kind="mail"}, and none of its series carries kind'),
        ('orders_waiting{job="api"} > 5', 'reads orders_waiting{job="api"}, and its series are of shop'),
    ],
)
def test_a_metric_a_label_or_a_job_that_is_not_there_is_an_error(
    tmp_path: Path, url: str, expr: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = checked(tmp_path, url, expr, capsys)
    assert code == 1
    assert [said in one for one in found] == [True]


def test_a_prometheus_that_does_not_answer_is_bad_input_and_not_a_check_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, (said,) = checked(tmp_path, "http://127.0.0.1:1", "up == 0", capsys)
    assert code == 2
    assert "--prometheus-url: http://127.0.0.1:1: connection refused" in said
    code, (said,) = checked(tmp_path, "local", "up == 0", capsys)
    assert code == 2
    assert "that profile's target is local" in said


def test_a_prometheus_without_a_metric_is_bad_input(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(f"{__name__}.SERIES", {})
    code, (said,) = checked(tmp_path, url, "up == 0", capsys)
    assert code == 2
    assert f"--prometheus-url: {url} has no metrics (is it the right one?)" in said
