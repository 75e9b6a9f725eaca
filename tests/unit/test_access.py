"""Endpoints behind TLS, basic auth, tokens, headers and path prefixes are spoken to, and no secret goes astray."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from chaoskit.access import near_session, plain_session, session_for, trouble
from chaoskit.errors import BadInput, Place
from chaoskit.events import Event, Poll
from chaoskit.examine.alertmanager import Status
from chaoskit.examine.endpoint import Endpoint, NoAnswer
from chaoskit.observe.prometheus import PrometheusObserver
from chaoskit.scenario.model import Access, Attached, Header, Secret
from chaoskit.stack.monitoring import undiscovered
from tests.reverse_proxy import Proxy, certificate, proxied

SECRET = "geheim-7391"
HERE = Place("profile.yml", 3)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def behind() -> Iterator[Proxy]:
    """A plain proxy with nothing behind it: what it was asked is what is looked at."""
    with proxied(Proxy({"/prometheus": "http://127.0.0.1:9"})) as proxy:
        yield proxy


def target(url: str, access: Access | None = None) -> Attached:
    accesses = {} if access is None else {"prometheus": access}
    return Attached(url, "http://a", "http://m", "staging", access=accesses)


def secret_file(folder: Path, text: str = SECRET) -> str:
    file = folder / "secret"
    file.write_text(text + "\n")
    return str(file)


def complaints(access: Access) -> list[str]:
    with pytest.raises(BadInput) as caught:
        session_for(target("http://p", access), "prometheus")
    return [str(problem) for problem in caught.value.problems]


# The server hangs up after each answer: said, or a client may ask again where nothing is heard any more.
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
ENDLESS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"
DRIP = HEAD + b"Content-Length: 1000000\r\n\r\n", b" "
LEADING_ON = b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 1000000\r\n\r\n", b" "
CUT = HEAD + b"Content-Length: 10\r\n\r\nab", b""
NO_UTF8 = HEAD + b'Content-Length: 28\r\n\r\n{"config":{"original":"\xff\xfe"}}', b""


@contextmanager
def answering(first: bytes, again: bytes) -> Iterator[str]:
    """A server that answers whatever it is asked with some bytes, and others again and again until it is left."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.recv(65536)
                self.request.sendall(first)
                while again and not ended.wait(0.0 if len(again) > 1 else 0.02):
                    self.request.sendall(again)

    ended = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            ended.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ENDLESS, "the answer is larger than 2 MiB"),
        (DRIP, "no answer in time"),
        (LEADING_ON, "no answer in time"),
        (CUT, "no connection"),
    ],
    ids=["endless", "drip", "a redirect that drips", "cut"],
)
def test_an_answer_without_an_end_is_told_and_not_read_for_ever(
    answer: tuple[bytes, bytes], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaoskit.access.ANSWER_S", 0.3)
    monkeypatch.setattr("chaoskit.access.LARGEST", 2 * 2**20)
    with answering(*answer) as url, session_for(target(url), "prometheus") as session:
        with pytest.raises(requests.RequestException) as caught:
            session.get(url, timeout=5)
        assert trouble(caught.value) == said


@pytest.mark.parametrize("content", [NO_UTF8, (HEAD + b"Content-Length: 4\r\n\r\nnull", b"")], ids=["no UTF-8", "null"])
def test_an_answer_that_is_none_is_told(content: tuple[bytes, bytes]) -> None:
    with answering(*content) as url, pytest.raises(NoAnswer, match="answers, but not as alertmanager does"):
        Endpoint(replace(target(url), alertmanager=url), "alertmanager").decoded("/api/v2/status", Status)


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"activeTargets":[7],"activeAlertmanagers":[]}'])
def test_a_prometheus_that_does_not_tell_its_targets_has_not_begun(data: bytes) -> None:
    body = b'{"status":"success","data":%s}' % data
    with answering(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body, b"") as url, plain_session() as session:
        assert undiscovered(url, session, None) == ["the server does not list its targets as Prometheus does"]


def test_a_bearer_token_and_headers_go_with_every_request(behind: Proxy, tmp_path: Path) -> None:
    access = Access(bearer=Secret(secret_file(tmp_path)), headers=(Header("X-Scope-OrgID", "team"),))
    with session_for(target(behind.url, access), "prometheus") as session:
        session.get(f"{behind.url}/prometheus/x", timeout=5)
    path, headers = behind.asked[-1]
    assert path == "/prometheus/x"
    assert (headers["authorization"], headers["x-scope-orgid"]) == (f"Bearer {SECRET}", "team")


def test_a_secret_is_taken_from_the_environment_by_name(behind: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGING_KEY", SECRET)
    access = Access(headers=(Header("X-Api-Key", "", Secret(env="STAGING_KEY")),))
    with session_for(target(behind.url, access), "prometheus") as session:
        session.get(behind.url, timeout=5)
    assert behind.asked[-1][1]["x-api-key"] == SECRET


def test_a_redirect_to_another_host_is_an_error_and_takes_nothing_along(behind: Proxy, tmp_path: Path) -> None:
    access = Access(bearer=Secret(secret_file(tmp_path)), headers=(Header("X-Scope-OrgID", "team"),))
    with proxied(Proxy({})) as other:
        behind.elsewhere = f"{other.url}/login?next=1"
        with (
            session_for(target(behind.url, access), "prometheus") as session,
            pytest.raises(requests.TooManyRedirects, match="which is another address"),
        ):
            session.get(behind.url, timeout=5)
        assert other.asked == []


def test_answers_are_asked_for_unpacked_on_loopback_and_packed_elsewhere(behind: Proxy) -> None:
    """What travels nowhere is not worth the packing; what crosses a network is."""
    for make, packing in (
        (plain_session, "identity"),
        (near_session, "identity"),
        (lambda: session_for(target(behind.url), "prometheus"), "gzip"),
    ):
        with make() as session:
            session.get(behind.url, timeout=5)
        assert packing in behind.asked[-1][1]["accept-encoding"]


@pytest.mark.parametrize("make", [plain_session, near_session])
def test_a_session_on_loopback_gives_what_was_answered_again_and_again(make: Callable[[], requests.Session]) -> None:
    body = '{"said": "\u00e4"}'.encode()
    answers = HEAD.replace(b"200 OK", b"503 Busy") + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with answering(answers, b"") as url, make() as session:
        for _ in range(2):
            answer = session.get(f"{url}/a", params={"query": "up[1ms] + 1"}, timeout=5)
            assert (answer.status_code, answer.ok, answer.json()) == (503, False, {"said": "\u00e4"})
            assert answer.text == body.decode()


@pytest.mark.parametrize("make", [plain_session, near_session])
def test_a_session_on_loopback_tells_why_there_is_no_answer(make: Callable[[], requests.Session]) -> None:
    with make() as session, socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(requests.Timeout) as late:
            session.get(url, timeout=0.05)
        silent.close()
        with pytest.raises(requests.ConnectionError) as refused:
            session.get(url, timeout=5)
    assert [trouble(each.value) for each in (late, refused)] == ["no answer in time", "no connection"]


def test_our_own_programs_lead_nowhere_else(behind: Proxy) -> None:
    with proxied(Proxy({})) as other, near_session() as session:
        behind.elsewhere = other.url
        assert session.get(behind.url, timeout=5).status_code == 302
        assert other.asked == []


def test_credentials_stay_away_from_other_hosts(behind: Proxy, tmp_path: Path) -> None:
    """Even where a caller asks elsewhere with the endpoint's session."""
    access = Access("drill", Secret(secret_file(tmp_path)), headers=(Header("X-Scope-OrgID", "team"),))
    with session_for(target("http://127.0.0.1:1", access), "prometheus") as session:
        session.get(behind.url, timeout=5)
    assert not {"authorization", "x-scope-orgid"} & set(behind.asked[-1][1])


def test_an_endpoint_without_access_gets_no_credentials(behind: Proxy, tmp_path: Path) -> None:
    access = Access(bearer=Secret(secret_file(tmp_path)))
    with session_for(
        Attached("http://p", behind.url, "http://m", "s", access={"prometheus": access}), "alertmanager"
    ) as s:
        s.get(behind.url, timeout=5)
    assert "authorization" not in behind.asked[-1][1]


def test_what_cannot_be_read_is_named_all_at_once_and_without_the_secret(tmp_path: Path) -> None:
    access = Access(
        "drill",
        Secret(env="NOT_SET_ANYWHERE"),
        headers=(Header("X-Api-Key", "", Secret("nowhere/key")),),
        ca_file="nowhere/ca.pem",
        place=HERE,
    )
    assert complaints(access) == [
        "profile.yml:3: the secret in nowhere/key cannot be read: No such file or directory (write it there)",
        "profile.yml:3: the environment variable NOT_SET_ANYWHERE is not set (export it)",
        "profile.yml:3: ca_file: nowhere/ca.pem: No such file or directory (name a file with certificates in PEM)",
    ]


def test_a_file_with_more_than_a_secret_is_refused_without_being_shown(tmp_path: Path) -> None:
    file = secret_file(tmp_path, f"{SECRET}\nX-Injected: yes")
    said = complaints(Access(bearer=Secret(file)))
    assert said == [
        f"{file} holds more than one line, or characters that no secret has (write the secret there, and nothing else)"
    ]
    assert SECRET not in said[0]


def test_files_are_looked_for_beside_the_profile(tmp_path: Path) -> None:
    secret_file(tmp_path)
    access = Access(bearer=Secret("secret"), place=Place(str(tmp_path / "staging.yml"), 4))
    assert session_for(target("http://p", access), "prometheus").auth is not None


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    file = secret_file(tmp_path)
    assert complaints(Access(ca_file=file)) == [
        f"ca_file: {file}: holds no certificate (name a file with certificates in PEM)"
    ]


def test_a_certificate_of_an_unknown_authority_is_not_trusted(tls: tuple[Path, Path]) -> None:
    with proxied(Proxy({}), tls) as proxy, session_for(target(proxy.url), "prometheus") as session:
        with pytest.raises(requests.exceptions.SSLError) as caught:
            session.get(proxy.url, timeout=5)
        assert trouble(caught.value) == "the server's certificate is not trusted: self-signed certificate"


@pytest.mark.parametrize(("password", "ok", "detail"), [(SECRET, True, ""), ("wrong", False, "status 401")])
def test_the_observer_looks_through_tls_basic_auth_and_a_prefix(
    tls: tuple[Path, Path], tmp_path: Path, password: str, ok: bool, detail: str
) -> None:
    """With its own authority and the right password it sees; with the wrong one it is blind, and says why."""
    answers = Answers({"/api/v1/query": SCALAR, "/api/v1/rules": RULES})
    with proxied(answers) as backend, proxied(Proxy({"/prom": backend.url}, "drill", SECRET), tls) as proxy:
        access = Access("drill", Secret(secret_file(tmp_path, password)), ca_file=str(tls[0]))
        heard: list[Event] = []
        observer = PrometheusObserver(
            f"{proxy.url}/prom",
            every_s=1,
            on_event=heard.append,
            session=session_for(target(f"{proxy.url}/prom", access), "prometheus"),
        )
        poll = observer.look_once()
    assert poll.ok is ok
    assert detail in poll.detail
    assert SECRET not in repr(heard)
    assert isinstance(heard[-1], Poll)


def groups(*evaluated: tuple[str, str]) -> bytes:
    """The rules API's answer: groups of one rule each, by name and last evaluation."""
    found = [
        {"name": name, "file": "f", "interval": 300, "lastEvaluation": at, "rules": [{"name": name}]}
        for name, at in evaluated
    ]
    return json.dumps({"status": "success", "data": {"groups": found}}).encode()


@pytest.mark.parametrize("others", ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
def test_a_slow_group_of_others_keeps_nothing_from_being_known(others: str) -> None:
    """Ours was evaluated at 00:10; theirs ten minutes before, or never. Watched for all, it says how far it knows."""
    ten_past = 1767226200.0
    rules = groups(("Ours", "2026-01-01T00:10:00Z"), ("Theirs", others))
    with proxied(Answers({"/api/v1/query": SCALAR, "/api/v1/rules": rules})) as backend:
        ours = PrometheusObserver(backend.url, every_s=1, on_event=lambda event: None, alerts={"Ours"}).look_once()
        everybody = PrometheusObserver(backend.url, every_s=1, on_event=lambda event: None).look_once()
    assert (ours.ok, ours.seen_to) == (True, ten_past)
    assert everybody.seen_to != ten_past


SCALAR = b'{"status":"success","data":{"resultType":"scalar","result":[1.5,"1.5"]}}'
RULES = b'{"status":"success","data":{"groups":[]}}'
MATRIX = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


class Answers(Proxy):
    """Not a proxy but what stands behind one."""

    def answer(self, path: str, headers: object) -> tuple[int, dict[str, str], bytes]:
        body = MATRIX if "ALERTS" in path else self.backends[path.partition("?")[0]]
        return 200, {"Content-Type": "application/json"}, body if isinstance(body, bytes) else body.encode()
