"""The CRM as its users and its faults see it: requests, upstream trouble, dead letters, metrics."""

from __future__ import annotations

import json
import socket
import sqlite3

import psutil
import pytest

from chaoskit.crm.contract import metrics
from chaoskit.crm.serve import BODY_LIMIT
from tests.crm.conftest import TOKEN, RunningCrm

RETRY = 'insa_retry_attempts_total{{result="{}"}}'
STATE = 'insa_circuit_breaker_state{breaker="upstream"}'


def _requests(crm: RunningCrm, status: str) -> float:
    return sum(
        value
        for series, value in crm.samples().items()
        if series.startswith("insa_agent_requests_total") and f'status="{status}"' in series
    )


def _settled(crm: RunningCrm, series: str, value: float) -> None:
    crm.wait(lambda: crm.value(series) == value, f"{series} at {value}")


@pytest.fixture
def clean(crm: RunningCrm) -> RunningCrm:
    """The module's CRM with its workers up, no toxic and a closed breaker."""
    crm.wait_healthy()
    for key in crm.ask("GET", "proxy_admin", "/toxics").json():
        crm.ask("DELETE", "proxy_admin", f"/toxics/{key}")

    def closed() -> bool:
        return crm.agent() == 200 and crm.value(STATE) == 0

    crm.wait(closed, "a closed breaker")
    return crm


def test_says_where_it_serves_and_who_its_processes_are(crm: RunningCrm) -> None:
    assert crm.hello["ready"] is True
    assert {"api", "metrics", "admin", "proxy", "proxy_admin"} <= crm.hello.keys()
    roles = {"supervisor", "api", "metrics", "sampler", "proxy", "workers"}
    assert set(crm.hello["pids"]) == roles
    titles = set(crm.titles())
    wanted = ["api", "metrics", "proxy", *(f"worker worker-{n}" for n in range(1, 5))]
    assert {f"crm[{crm.slice}] {role}" for role in wanted} <= titles


def test_every_metric_of_the_contract_is_exposed_with_every_label_set(crm: RunningCrm) -> None:
    samples = crm.samples()
    for metric in metrics(("worker-1", "worker-2", "worker-3", "worker-4"), "local"):
        suffix = "_count" if metric.kind == "histogram" else ""
        for labels in metric.label_sets:
            pairs = ",".join(f'{name}="{value}"' for name, value in zip(metric.labels, labels, strict=True))
            assert f"{metric.name}{suffix}" + (f"{{{pairs}}}" if pairs else "") in samples


def test_the_page_has_the_text_formats_content_type(crm: RunningCrm) -> None:
    response = crm.http.get(crm.url("metrics", "/metrics"), timeout=20)
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_leads_and_opportunities_are_stored_and_a_worker_scores_the_lead(clean: RunningCrm) -> None:
    lead = clean.ask("POST", "api", "/leads", {"name": "Ada", "email": "ada@example.com"})
    assert lead.status_code == 201
    number = lead.json()["id"]

    def scored() -> bool:
        found: float = clean.ask("GET", "api", f"/leads/{number}").json()["score"]
        return found == number * 37 % 100

    clean.wait(scored, "the follow-up's score")
    deal = {"lead_id": number, "title": "Engine", "amount": 500}
    deal_id = clean.ask("POST", "api", "/opportunities", deal).json()["id"]
    newest = clean.ask("GET", "api", "/opportunities?limit=1").json()
    assert newest[0]["id"] == deal_id
    assert clean.ask("GET", "api", "/leads/999999").status_code == 404


@pytest.mark.parametrize(
    ("path", "body"),
    [("/leads", {"name": "x"}), ("/opportunities", {"lead_id": "x"}), ("/agent-requests", {"agent": "nobody"})],
)
def test_a_body_that_does_not_fit_is_a_400(crm: RunningCrm, path: str, body: dict[str, object]) -> None:
    response = crm.ask("POST", "api", path, body)
    assert response.status_code == 400
    assert response.json()["error"]


def test_reports_come_from_the_cache_and_new_ones_push_old_ones_out(clean: RunningCrm) -> None:
    names = [f"insa_cache_{what}_total" for what in ("hits", "misses", "evictions")]
    before = clean.samples()
    clean.ask("GET", "api", "/reports/40")
    for number in range(64):
        clean.ask("GET", "api", f"/reports/unique-{number}")
    clean.wait(lambda: clean.value(names[1]) == before[names[1]] + 64, "64 misses")
    clean.wait(lambda: clean.value(names[2]) >= before[names[2]] + 40, "40 evictions, told a moment later")
    assert clean.value(names[0]) == before[names[0]] + 1
    assert clean.ask("DELETE", "admin", "/cache").json() == {"dropped": 64}


def test_a_4xx_of_the_upstream_is_neither_retried_nor_counted_by_the_breaker(clean: RunningCrm) -> None:
    retries, errors = clean.value(RETRY.format("failure")), _requests(clean, "error")
    clean.toxic("sick", kind="http.error", status=422)
    assert [clean.agent() for _ in range(45)] == [422] * 45
    clean.wait(lambda: _requests(clean, "error") == errors + 45, "45 errors")
    assert clean.value(STATE) == 0
    assert clean.value(RETRY.format("failure")) == retries
    assert clean.ask("GET", "proxy_admin", "/toxics/sick").json()["seen"] == 45


def test_one_failure_in_four_calls_is_retried_away(clean: RunningCrm) -> None:
    retries = clean.value(RETRY.format("success"))
    clean.toxic("flaky", kind="http.error", status=503, ratio=0.25)
    assert [clean.agent() for _ in range(12)] == [200] * 12
    shown = clean.ask("GET", "proxy_admin", "/toxics/flaky").json()
    assert (shown["seen"], shown["hit"]) == (15, 3), "every fourth call, the retries included"
    _settled(clean, RETRY.format("success"), retries + 3)


@pytest.mark.parametrize("kind", ["tcp.reset", "tcp.flaky"])
def test_resets_are_failures_that_are_retried(clean: RunningCrm, kind: str) -> None:
    retries = clean.value(RETRY.format("success"))
    clean.toxic("link", kind=kind, ratio=0.5)
    assert [clean.agent() for _ in range(4)] == [200] * 4
    _settled(clean, RETRY.format("success"), retries + 3)


def test_a_black_hole_uses_up_the_deadline_and_is_not_retried(clean: RunningCrm) -> None:
    timeouts = _requests(clean, "timeout")
    clean.toxic("hole", kind="tcp.blackhole", path="^/v1/agents/lead-scorer$")
    assert clean.agent("lead-scorer") == 504
    assert clean.agent("email-drafter") == 200, "another path"
    clean.wait(lambda: _requests(clean, "timeout") == timeouts + 1, "one time-out")
    assert clean.ask("GET", "proxy_admin", "/toxics/hole").json()["seen"] == 1


def test_a_slow_upstream_is_reported_in_virtual_seconds(clean: RunningCrm) -> None:
    series = 'insa_agent_request_duration_seconds_bucket{{agent="meeting-planner",le="{}"}}'
    before = clean.samples()
    clean.toxic("slow", kind="http.slow", delay_vs=16)  # timers may be a millisecond early
    assert clean.agent("meeting-planner") == 200
    _settled(clean, series.format("+Inf"), before[series.format("+Inf")] + 1)
    assert clean.value(series.format("15.0")) == before[series.format("15.0")]


def test_changing_a_toxic_leaves_no_call_in_between_and_removing_it_is_idempotent(clean: RunningCrm) -> None:
    clean.toxic("errors", kind="http.error", status=422, ratio=1)
    assert clean.agent() == 422
    clean.toxic("errors", kind="http.error", status=404, ratio=0.5)
    assert [clean.agent() for _ in range(4)] == [200, 422, 200, 422]
    assert clean.ask("DELETE", "proxy_admin", "/toxics/errors").json() == {"removed": True}
    assert clean.ask("DELETE", "proxy_admin", "/toxics/errors").json() == {"removed": False}
    assert clean.agent() == 200


def test_removing_a_black_hole_lets_go_of_what_it_swallowed(clean: RunningCrm) -> None:
    clean.toxic("hole", kind="tcp.blackhole", expires_s=0.2)
    assert clean.agent("account-researcher") == 200, "reset when the hole went, then retried"


def test_a_starved_breaker_opens_refuses_and_recovers_once_the_upstream_answers(clean: RunningCrm) -> None:
    opened = 'insa_circuit_breaker_transitions_total{breaker="upstream",from="closed",to="open"}'
    before = clean.value(opened)
    clean.toxic("down", kind="http.error", status=500)
    statuses = [clean.agent() for _ in range(12)]
    assert statuses[0] == 502
    assert statuses[-1] == 503
    clean.wait(lambda: clean.value(STATE) > 0, "a breaker that is not closed")
    _settled(clean, opened, before + 1)
    clean.ask("DELETE", "proxy_admin", "/toxics/down")
    clean.wait(lambda: clean.agent() == 200, "an answer")
    _settled(clean, STATE, 0)


def test_poisonous_and_parked_letters_are_replayed_with_the_result_they_deserve(clean: RunningCrm) -> None:
    size, result = "insa_dead_letter_queue_size", 'insa_dlq_replays_total{{result="{}"}}'
    before = clean.samples()
    letters = {"count": 75, "replayable": True, "batch": "test"}
    good = clean.ask("POST", "admin", "/dead-letters", letters).json()["ids"]
    _settled(clean, size, 75)
    replayed = clean.ask("POST", "admin", "/dead-letters/replay", {"count": 50}).json()["ids"]
    assert replayed == good[:50]
    _settled(clean, size, 25)
    _settled(clean, result.format("success"), before[result.format("success")] + 50)
    assert clean.ask("DELETE", "admin", "/queue/messages", {"batch": "test"}).json() == {"removed": 25}

    poison = {"kind": "import-record", "payload": {"record": {"name": "no address"}}, "count": 3, "batch": "test"}
    bad = clean.ask("POST", "admin", "/queue/messages", poison).json()["ids"]
    _settled(clean, size, 3)
    assert clean.ask("POST", "admin", "/dead-letters/replay", {"count": 3}).json()["ids"] == bad
    _settled(clean, result.format("failure"), before[result.format("failure")] + 3)
    _settled(clean, size, 3)
    assert clean.ask("DELETE", "admin", "/queue/messages", {"batch": "test"}).json() == {"removed": 3}
    _settled(clean, size, 0)


def test_a_background_task_whose_upstream_path_is_sick_ends_as_a_replayable_dead_letter(clean: RunningCrm) -> None:
    before = clean.samples()
    clean.toxic("sick", kind="http.error", status=503, path="^/v1/background/")
    assert clean.agent("account-researcher", mode="background") == 202
    _settled(clean, "insa_dead_letter_queue_size", 1)
    failure = RETRY.format("failure")
    _settled(clean, failure, before[failure] + 2)
    shown = clean.ask("GET", "proxy_admin", "/toxics/sick").json()
    assert shown["seen"] == 3, "one delivery: the retries were calls"
    clean.ask("DELETE", "proxy_admin", "/toxics/sick")
    clean.ask("POST", "admin", "/dead-letters/replay", {"count": 1})
    success = 'insa_dlq_replays_total{result="success"}'
    _settled(clean, success, before[success] + 1)
    _settled(clean, "insa_dead_letter_queue_size", 0)


def test_a_flood_of_campaigns_stands_in_the_queue_until_it_is_taken_away(clean: RunningCrm) -> None:
    clean.ask("POST", "admin", "/queue/messages", {"count": 150, "batch": "flood"})
    clean.wait(lambda: clean.value("insa_worker_queue_depth") > 100, "a queue above 100")
    assert clean.ask("DELETE", "admin", "/queue/messages", {"batch": "flood"}).json()["removed"] > 100
    _settled(clean, "insa_worker_queue_depth", 0)


def test_audit_entries_that_fail_are_counted_and_harm_nobody(clean: RunningCrm) -> None:
    errors = 'insa_database_operations_total{operation="audit",status="error"}'
    before = clean.value(errors)
    outside = sqlite3.connect(clean.data_dir / "crm.db", isolation_level=None)
    try:
        outside.execute("CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'broken'); END")
        assert [clean.agent() for _ in range(3)] == [200] * 3
        _settled(clean, errors, before + 3)
    finally:
        outside.execute("DROP TRIGGER IF EXISTS broken")
        outside.close()


@pytest.mark.parametrize(
    ("method", "port", "path"),
    [
        ("GET", "admin", "/queue"),
        ("POST", "admin", "/dead-letters/replay"),
        ("DELETE", "admin", "/cache"),
        ("GET", "proxy_admin", "/toxics"),
        ("PUT", "proxy_admin", "/toxics/x"),
    ],
)
def test_administration_refuses_whoever_lacks_the_token(crm: RunningCrm, method: str, port: str, path: str) -> None:
    assert crm.ask(method, port, path, {"count": 1}, token="wrong").status_code == 401
    assert crm.http.request(method, crm.url(port, path), timeout=20).status_code == 401
    assert crm.ask(method, port, path, {"count": 1}).status_code != 401


ADMINISTRATION = [("POST", "admin", "/queue/messages"), ("PUT", "proxy_admin", "/toxics/x")]
administration = pytest.mark.parametrize(("method", "port", "path"), ADMINISTRATION)


@administration
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"count":"x"}',
        b'{"count":1e999}',
        b'{"surprise":1}',
        b"\xff\x00",
        b'{"kind":"\xff"}',
        b"[" * 100_000,
    ],
    ids=lambda body: body[:12].decode(errors="replace"),
)
def test_administration_answers_a_malformed_body_with_a_reason(
    clean: RunningCrm, method: str, port: str, path: str, body: bytes
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = clean.http.request(method, clean.url(port, path), data=body, headers=headers, timeout=20)
    assert answer.status_code == 400
    assert answer.json()["error"]


@administration
def test_administration_refuses_a_body_that_is_too_big(crm: RunningCrm, method: str, port: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    body = b" " * (BODY_LIMIT + 1)
    assert crm.http.request(method, crm.url(port, path), data=body, headers=headers, timeout=20).status_code == 413


@administration
def test_a_client_that_never_ends_its_body_keeps_nobody_waiting_and_is_let_go(
    crm: RunningCrm, method: str, port: str, path: str
) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n{{"
    with socket.create_connection(("127.0.0.1", crm.hello[port]), timeout=30) as slow:
        slow.sendall(head.encode())
        assert crm.ask("GET", port, "/queue" if port == "admin" else "/toxics").status_code == 200
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "head",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Origin": "https://evil.example"},
        {"Content-Type": "application/json", "Host": "evil.example"},
        {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=lambda head: " ".join(head.values()),
)
def test_a_web_page_in_a_browser_here_adds_nothing(crm: RunningCrm, head: dict[str, str]) -> None:
    """What a browser sends for a page of anywhere, without asking first, is refused; the same by a program is taken."""
    bodies = {"/leads": {"name": "a", "email": "b"}, "/agent-requests": {"agent": "lead-scorer", "mode": "background"}}
    for path, body in bodies.items():
        url, data = crm.url("api", path), json.dumps(body)
        assert crm.http.post(url, data=data, headers=head, timeout=20).status_code == 403
        assert crm.http.post(url, json=body, timeout=20).status_code in (201, 202)


def test_every_door_of_the_crm_is_on_loopback(crm: RunningCrm) -> None:
    processes = [psutil.Process(crm.process.pid)]
    processes += processes[0].children(recursive=True)
    doors = {c.laddr for one in processes for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert {door.port for door in doors} >= {crm.hello[name] for name in ("api", "admin", "proxy_admin", "metrics")}
    assert {door.ip for door in doors} == {"127.0.0.1"}


def test_administration_is_not_on_the_public_port(crm: RunningCrm) -> None:
    assert crm.ask("GET", "api", "/queue").status_code == 404
    assert crm.ask("POST", "api", "/dead-letters/replay", {"count": 1}).status_code == 404
