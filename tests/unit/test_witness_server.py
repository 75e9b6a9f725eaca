"""The witness's endpoint: who may come in, what is kept, and what is said of the rest."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from chaoskit.access import plain_session, read_token, readable_by_others
from chaoskit.errors import BadInput, EquipmentError, Refused
from chaoskit.events import Watch
from chaoskit.observe import http_server
from chaoskit.observe.http_server import BODY_LIMIT
from chaoskit.observe.web_pages import carries_token
from chaoskit.waiting import await_true
from chaoskit.witness.server import Settings, WitnessServer, is_loopback
from chaoskit.witness.store import Store
from tests.witness_examples import TOKEN, bearing, message, post, witness


@pytest.fixture
def server() -> Iterator[WitnessServer]:
    with witness() as running:
        yield running


def notices(server: WitnessServer, **asked: object) -> dict[str, object]:
    with bearing() as session:
        answer = session.get(f"{server.url}/notices", params=asked, timeout=40)  # type: ignore[arg-type]
    assert answer.status_code == 200
    return dict(answer.json())


def test_a_notice_is_kept_with_its_receiver_its_payload_and_an_interval_that_holds_its_sending(
    server: WitnessServer,
) -> None:
    before = time.time()
    assert post(server, "critical%2Falerts%20%C3%BC") == 200
    told = notices(server)
    (heard,) = told["notices"]
    assert (heard["n"], heard["receiver"], heard["payload"]) == (1, "critical/alerts ü", message())
    assert heard["arrived"][0] <= heard["arrived"][1]
    assert before <= heard["arrived"][1] <= time.time()
    assert told["boot"] == server.store.boot
    assert told["watch"][0] <= heard["arrived"][1] <= told["now"]


@pytest.mark.parametrize("authorization", [None, "", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ü"])
@pytest.mark.parametrize("what", [("POST", "/receiver/ops"), ("GET", "/notices"), ("GET", "/nowhere")])
def test_without_the_token_nobody_gets_in_and_nothing_is_kept(
    server: WitnessServer, what: tuple[str, str], authorization: str | None
) -> None:
    method, path = what
    headers = {} if authorization is None else {"Authorization": authorization.encode()}
    with plain_session() as session:
        answer = session.request(method, server.url + path, json=message(), headers=headers, timeout=20)
        assert answer.status_code == 401
        assert TOKEN not in answer.text
    assert notices(server)["notices"] == []
    assert server.store.refused == {"token": 1}


def test_a_stranger_s_body_is_not_taken_even_when_it_announces_itself(server: WitnessServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"POST /receiver/ops HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    "head",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json", "Origin": "null"},
        {"Content-Type": "application/json", "Host": "evil.example:9765"},
        {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=lambda head: " ".join(head.values()),
)
def test_a_web_page_in_a_browser_here_tells_a_witness_without_a_token_nothing(head: dict[str, str]) -> None:
    with witness(Settings(port=0)) as server, plain_session() as session:
        url, body = f"{server.url}/receiver/ops", json.dumps(message())
        assert session.post(url, data=body, headers=head, timeout=20).status_code == 403
        assert session.get(f"{server.url}/notices", headers=head, timeout=20).status_code == (
            200 if head == {"Content-Type": "text/plain"} else 403
        )
        assert session.post(url, json=message(), timeout=20).status_code == 200  # the control
        assert [heard.n for heard in server.store.tell(server.store.boot, 0, 0.0, 0.0, 0.0).notices] == [1]
        assert server.store.refused["stranger"] >= 1


def test_health_is_told_to_anybody_and_shows_the_clock(server: WitnessServer) -> None:
    with plain_session() as session:
        answer = session.get(f"{server.url}/healthy", timeout=20)
    assert answer.status_code == 200
    assert abs(answer.json()["now"] - time.time()) < 60


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/receiver/", 404),
        ("POST", "/nowhere", 404),
        ("POST", "/notices", 405),
        ("GET", "/receiver/ops", 405),
        ("GET", "/notices?after=x", 400),
        ("GET", "/notices?wait_s=nan", 400),
    ],
)
def test_what_does_not_exist_is_said(server: WitnessServer, method: str, path: str, status: int) -> None:
    with bearing() as session:
        assert session.request(method, server.url + path, timeout=20).status_code == status


@pytest.mark.parametrize(
    "body",
    [b"", b"not JSON", b"{}", b"[" * 50_000, b'{"version": "4", "alerts": [7], "status": "firing"}', b'"\xff"'],
    ids=["empty", "text", "another object", "deep", "no alert", "no UTF-8"],
)
def test_a_malformed_payload_is_refused_and_counted(server: WitnessServer, body: bytes) -> None:
    with bearing() as session:
        assert session.post(f"{server.url}/receiver/ops", data=body, timeout=20).status_code == 400
    told = notices(server)
    assert (told["notices"], told["refused"]) == ([], {"malformed": 1})


def test_a_body_that_is_too_big_is_refused_and_counted(server: WitnessServer) -> None:
    with bearing() as session:
        body = b"x" * (BODY_LIMIT + 1)
        assert session.post(f"{server.url}/receiver/ops", data=body, timeout=20).status_code == 413
    assert notices(server)["refused"] == {"too big": 1}


@pytest.mark.parametrize(
    "begun", [b"", b"POST /receiver/ops HT", b"POST /receiver/ops HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_client_that_takes_its_time_is_cut_off(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(http_server, "REQUEST_LIMIT_S", 0.3)
    with witness(Settings(port=0)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(begun)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(4096) == b""
        assert post(server) == 200


def test_a_question_is_held_back_until_a_notice_comes(server: WitnessServer) -> None:
    """Asked to wait for 30 s, it answers as soon as somebody speaks, and says how long it waited."""
    told: list[dict[str, object]] = []
    asking = threading.Thread(target=lambda: told.append(notices(server, wait_s=30)))
    asking.start()
    assert await_true(lambda: len(server._desk._waiting) == 1, 10)
    assert not told
    assert post(server) == 200
    asking.join(15)
    assert [heard["n"] for heard in told[0]["notices"]] == [1]
    assert 0 < told[0]["held_s"] < 15


def test_a_question_is_answered_without_a_notice_once_its_time_is_over(server: WitnessServer) -> None:
    told = notices(server, wait_s=0.05)
    assert told["notices"] == []
    assert told["held_s"] >= 0.05


def test_who_waits_is_answered_when_the_witness_ends() -> None:
    told: list[dict[str, object]] = []
    with witness() as server:
        asking = threading.Thread(target=lambda: told.append(notices(server, wait_s=30)))
        asking.start()
        assert await_true(lambda: len(server._desk._waiting) == 1, 10)
    asking.join(15)
    assert told[0]["notices"] == []


def test_dropped_notices_are_said_and_the_watch_does_not_reach_behind_them() -> None:
    with witness(Settings(port=0, token=TOKEN, keep=2)) as server:
        for number in range(5):
            assert post(server, body=message(f"Alert{number}")) == 200
        told = notices(server, after=1)
        assert [heard["n"] for heard in told["notices"]] == [4, 5]
        assert told["dropped"] == 2
        later = notices(server, after=5)
        assert later["dropped"] == 0
        assert told["watch"][0] > later["watch"][0]


def test_memory_is_bounded_by_bytes_too() -> None:
    store = Store(keep=1000, keep_bytes=10_000)
    for _ in range(50):
        store.add((1.0, 2.0), "ops", "x" * 900)
    assert store.last - len(store._heard) >= 40
    assert store.last == 50


def test_what_is_not_told_yet_is_not_watched() -> None:
    """A long answer comes in parts, and only with the last of them may absence be claimed."""
    store = Store()
    for _ in range(10):
        store.add((1.0, 1.0), "ops", "x" * 1_000_000)
    store.watched(Watch(sink="webhook-sink", seen=(0.0, 9.0), lag_s=0.25))
    first = store.tell(store.boot, 0, 0.0, 9.5)
    assert (first.more, first.watch) == (True, None)
    rest = store.tell(store.boot, first.notices[-1].n, 0.0, 9.5)
    assert (rest.more, rest.watch) == (False, (0.0, 9.0, 0.25))
    assert [heard.n for heard in first.notices + rest.notices] == list(range(1, 11))


def test_the_watch_is_told_since_an_instant_with_its_largest_lateness() -> None:
    store = Store()
    for second in range(5000):
        store.watched(
            Watch(sink="webhook-sink", seen=(float(second), second + 1.0), lag_s=9.0 if second == 7 else 0.01)
        )
    assert store.tell(store.boot, 0, 0.0, 1.0).watch == (0.0, 5000.0, 9.0)
    assert store.tell(store.boot, 0, 4000.0, 1.0).watch == (4000.0, 5000.0, 0.01)
    assert store.tell(store.boot, 0, 5000.0, 1.0).watch is None
    assert store.tell("another boot", 0, 4000.0, 1.0).watch == (0.0, 5000.0, 9.0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_beyond_loopback_it_does_not_start_without_a_token(host: str) -> None:
    with pytest.raises(Refused, match="token is needed"):
        WitnessServer(Settings(host, 0))


def test_loopback_is_told_from_the_rest() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    with pytest.raises(BadInput, match="is no address"):
        is_loopback("no such host.")


def test_a_taken_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = WitnessServer(Settings(port=taken.getsockname()[1]))
        with pytest.raises(EquipmentError, match=r"cannot listen .*in use"):
            server.run()


def test_it_speaks_tls_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    with witness(Settings(port=0, token=TOKEN, certificate=certificate, key=key)) as server:
        with bearing() as session:
            session.verify = str(certificate)
            url = f"{server.url}/receiver/ops"
            assert url.startswith("https://")
            assert session.post(url, json=message(), timeout=20).status_code == 200
            (heard,) = session.get(f"{server.url}/notices", timeout=20).json()["notices"]
            assert heard["receiver"] == "ops"
        with plain_session() as session, pytest.raises(requests.exceptions.SSLError):
            session.get(f"{server.url}/healthy", timeout=20)


def test_a_certificate_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    with pytest.raises(BadInput, match="cannot be used for TLS"):
        WitnessServer(Settings(port=0, certificate=tmp_path / "cert.pem"))


def test_a_token_s_file_is_read_and_its_content_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(BadInput, match="openssl rand"):
        read_token(file)
    for wrong in ("", "short-secret", "two words of secret here", "sécret-that-is-long"):
        file.write_text(wrong)
        with pytest.raises(BadInput) as refused:
            read_token(file)
        assert not wrong or wrong not in str(refused.value)
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN
    file.chmod(0o644)
    assert readable_by_others(file)
    file.chmod(0o600)
    assert not readable_by_others(file)


def test_the_scheme_may_be_written_in_any_case() -> None:
    assert carries_token(f"bearer {TOKEN}", TOKEN)
    assert not carries_token(f"bearer {TOKEN[:-1]}", TOKEN)
    assert not carries_token("", TOKEN)


def test_strangers_who_fill_its_places_keep_nobody_out_and_end_its_watch(server: WitnessServer) -> None:
    """201 unfinished requests without a token. Who was sent away is counted, and silence is not judged over that."""
    with contextlib.ExitStack() as strangers:
        for _ in range(201):
            one = strangers.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            one.sendall(b"GET /healthy HTTP/1.1\r\nX")
        begun = time.time()
        assert post(server) == 200
    told = notices(server)
    assert isinstance(told["refused"], dict)
    assert told["refused"]["places"] >= 2
    assert await_true(lambda: server.store.tell(server.store.boot, 0, begun, 0).watch is not None, 10)
    assert not [span for span in server.store._spans if span[0] <= begun <= span[1]]
