"""The sinks as processes: what arrives is reported with an interval that holds the truth, and a dead sink is told."""

from __future__ import annotations

import contextlib
import os
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import requests

from chaoskit.errors import EquipmentError
from chaoskit.events import Equipment, Event, Notice, Stranger, Watch
from chaoskit.observe.http_server import BODY_LIMIT, HEADER_LIMIT
from chaoskit.observe.mail_sink import DATA_LIMIT, LINE_LIMIT
from chaoskit.observe.sinks import SinkChild

pytestmark = pytest.mark.stack

WORD = "the-word-of-the-door"
MAIL_CONFIG = {
    "doors": [{"receiver": "ops", "integration": "email", "index": 3, "speaks": "email", "word": WORD}],
    "extra_port": 0,
}
WEB_CONFIG = {
    "port": 0,
    "doors": [
        {"receiver": "ops", "integration": "webhook", "speaks": "webhook", "path": "/door/0", "word": WORD},
        {"receiver": "ops", "integration": "sns", "speaks": "sns", "path": "/door/1"},
    ],
}
CONFIGS = {"mail": MAIL_CONFIG, "webhook": WEB_CONFIG}


@dataclass
class Seen:
    events: list[Event] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def wait(self, wanted: Callable[[Event], object], timeout_s: float = 15) -> Event:
        with self.changed:
            self.changed.wait_for(lambda: any(wanted(e) for e in self.events), timeout_s)
            found = [e for e in self.events if wanted(e)]
        assert found, f"not within {timeout_s} s; seen: {self.events[-5:]}"
        return found[-1]

    def notices(self, count: int) -> list[Notice]:
        """So many notices, waited for: they are on their way before their senders are answered, but not yet here."""
        with self.changed:
            self.changed.wait_for(lambda: len(self._notices()) >= count, 15)
            found = self._notices()
        assert len(found) == count
        return found

    def _notices(self) -> list[Notice]:
        return [event for event in self.events if isinstance(event, Notice)]


@dataclass
class Running:
    sink: SinkChild
    seen: Seen
    port: int


def start(kind: str, log: Path) -> Running:
    seen = Seen()
    sink = SinkChild.start(
        f"chaoskit.observe.{kind}_sink", CONFIGS[kind], name=f"{kind}-sink", log=log, on_event=seen.add
    )
    return Running(sink, seen, sink.ports[0])


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[Running]:
    running = start("mail", tmp_path / "mail.log")
    yield running
    running.sink.stop()


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Running]:
    running = start("webhook", tmp_path / "webhook.log")
    yield running
    running.sink.stop()


def send_mail(port: int, body: str = "Subject: x\r\n\r\nhello", word: str = WORD) -> None:
    with mailing(port, word) as client:
        client.sendmail("a@x", ["b@y"], body)


def mailing(port: int, word: str = WORD) -> smtplib.SMTP:
    """A client that has given its password, as Alertmanager does."""
    client = smtplib.SMTP("127.0.0.1", port, timeout=20)
    if word:
        client.user, client.password = "door", word
        client.ehlo()
        try:
            client.auth("PLAIN", client.auth_plain)
        except smtplib.SMTPAuthenticationError:
            client.close()
            raise
    return client


HEAD = {"Authorization": f"Bearer {WORD}", "Content-Type": "application/json"}
RAW_HEAD = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "127.0.0.1", **HEAD}.items())


def post(port: int, body: bytes = b"{}", head: dict[str, str] = HEAD, path: str = "/door/0") -> int:
    with requests.Session() as client:
        client.trust_env = False
        return client.post(f"http://127.0.0.1:{port}{path}", data=body, headers=head, timeout=20).status_code


SEND = {"mail": send_mail, "webhook": post}


@pytest.mark.parametrize("kind", ["mail", "webhook"])
def test_a_notice_that_meets_a_stopped_sink_gets_an_interval_wide_enough_to_hold_the_truth(
    kind: str, tmp_path: Path
) -> None:
    """Stopped for a second, the sink cannot know when the knock came; and the watch tells of the lateness."""
    running = start(kind, tmp_path / "sink.log")
    try:
        SEND[kind](running.port)
        os.kill(running.sink.child.pid, signal.SIGSTOP)
        stopped = time.time()
        on = threading.Timer(1.0, os.kill, (running.sink.child.pid, signal.SIGCONT))
        on.start()
        knocked = time.time()
        SEND[kind](running.port)
        on.join()
        notice = running.seen.wait(lambda e: isinstance(e, Notice) and e.sent[1] > knocked)
        assert isinstance(notice, Notice)
        assert notice.sent[0] <= knocked
        assert notice.sent[1] - notice.sent[0] >= 1.0 - (knocked - stopped)
        late = running.seen.wait(lambda e: isinstance(e, Watch) and e.seen[1] > knocked)
        assert isinstance(late, Watch)
        assert max(e.lag_s for e in running.seen.events if isinstance(e, Watch)) > 0.5
    finally:
        running.sink.stop()


def test_requests_on_one_connection_have_intervals_of_their_own(webhook: Running) -> None:
    """The second one was certainly not sent before the first was answered, although its connection is older."""
    with requests.Session() as session:
        session.trust_env = False
        url = f"http://127.0.0.1:{webhook.port}/door/0"
        session.post(url, data=b"{}", headers=HEAD, timeout=20)
        # Long enough that the loop has looked in vain in between.
        webhook.seen.wait(lambda e: isinstance(e, Watch))
        asked = time.time()
        session.post(url, data=b"{}", headers=HEAD, timeout=20)
        answered = time.time()
    first, second = webhook.seen.notices(2)
    assert first.sent[1] < second.sent[0] <= answered
    assert asked <= second.sent[1]


def test_mails_on_one_connection_are_each_sent_after_the_one_before(mail: Running) -> None:
    with mailing(mail.port) as client:
        client.sendmail("a@x", ["b@y"], "Subject: 1\r\n\r\n")
        client.sendmail("a@x", ["b@y", "c@z"], "Subject: 2\r\n\r\n")
    first, second = mail.seen.notices(2)
    assert (first.subject, second.subject) == ("1", "2")
    assert first.sent[1] <= second.sent[0] <= second.sent[1]
    assert (second.receiver, second.index, second.recipients) == ("ops", 3, ["b@y", "c@z"])


def test_the_catch_all_port_is_nobodys(mail: Running) -> None:
    send_mail(mail.sink.ports[1], word="")
    (notice,) = mail.seen.notices(1)
    assert (notice.receiver, notice.integration) == ("", "email")


def test_the_watch_does_not_pass_a_sender_in_the_middle_of_it(webhook: Running) -> None:
    """Up to its end everything is reported; half a request, which may yet become a notice, holds it back."""
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=20) as client:
        before = time.time()
        client.sendall(f"POST /door/0 HTTP/1.1\r\n{RAW_HEAD}Content-Length: 2\r\n\r\n{{".encode())
        threading.Event().wait(1.5)  # a watch is due every second
        client.sendall(b"}")
        client.recv(4096)
    after = time.time()
    (notice,) = webhook.seen.notices(1)
    assert notice.sent[0] <= before
    told = webhook.seen.wait(lambda e: isinstance(e, Watch) and e.seen[1] > after)
    place = webhook.seen.events.index(notice)
    earlier = [e for e in webhook.seen.events[:place] if isinstance(e, Watch)]
    assert all(watch.seen[1] <= notice.sent[0] for watch in earlier)
    assert isinstance(told, Watch)


def test_a_body_that_is_too_big_is_refused_and_reported(webhook: Running) -> None:
    assert post(webhook.port, b"x" * (BODY_LIMIT + 1)) == 413
    (notice,) = webhook.seen.notices(1)
    assert "longer than" in notice.problems[0]
    assert notice.text == ""
    assert post(webhook.port, b"x" * BODY_LIMIT) == 400  # not JSON, but taken


def test_a_mail_that_is_too_big_is_refused_and_reported(mail: Running) -> None:
    line = "y" * 998 + "\r\n"
    with mailing(mail.port) as client:
        # Without SIZE, as a client that does not say beforehand how much it brings.
        client.mail("a@x")
        client.rcpt("b@y")
        code, answer = client.data(line * (DATA_LIMIT // len(line) + 1))
    assert (code, answer) == (552, b"Error: Too much mail data")
    (notice,) = mail.seen.notices(1)
    assert "refused" in notice.problems[0]


def test_a_long_header_line_is_taken(mail: Running) -> None:
    """Alertmanager writes a header on one line, however many alerts it lists."""
    send_mail(mail.port, f"X-Long: {'z' * (LINE_LIMIT // 2)}\r\nSubject: long\r\n\r\n")
    (notice,) = mail.seen.notices(1)
    assert notice.subject == "long"


def test_what_is_not_http_or_too_long_for_it_is_turned_away(webhook: Running) -> None:
    for sent, answer in (
        (b"EHLO there\r\n\r\n", b"HTTP/1.1 400"),
        (b"POST / HTTP/1.1\r\nX: " + b"x" * (HEADER_LIMIT + 1) + b"\r\n\r\n", b"HTTP/1.1 431"),
    ):
        with socket.create_connection(("127.0.0.1", webhook.port), timeout=20) as client:
            client.sendall(sent)
            assert client.recv(4096).startswith(answer)
    webhook.sink.stop()
    webhook.seen.notices(0)


@pytest.mark.parametrize("kind", ["mail", "webhook"])
def test_a_killed_sink_is_reported_down_once(kind: str, tmp_path: Path) -> None:
    running = start(kind, tmp_path / "sink.log")
    os.kill(running.sink.child.pid, signal.SIGKILL)
    down = running.seen.wait(lambda e: isinstance(e, Equipment))
    running.sink.stop()
    assert isinstance(down, Equipment)
    assert (down.name, down.state) == (f"{kind}-sink", "down")
    assert "-9" in down.detail
    assert len([e for e in running.seen.events if isinstance(e, Equipment)]) == 1
    assert not running.sink.alive


@pytest.mark.parametrize("kind", ["mail", "webhook"])
def test_a_sink_that_is_stopped_has_said_everything_and_is_not_down(kind: str, tmp_path: Path) -> None:
    running = start(kind, tmp_path / "sink.log")
    running.seen.wait(lambda e: isinstance(e, Watch))
    SEND[kind](running.port)
    running.sink.stop()
    running.sink.stop()
    running.seen.notices(1)
    assert not [e for e in running.seen.events if isinstance(e, Equipment)]
    assert isinstance(running.seen.events[-1], Watch)
    assert running.sink.child.returncode == 0


def test_a_paused_sink_can_be_stopped(tmp_path: Path) -> None:
    running = start("mail", tmp_path / "sink.log")
    os.kill(running.sink.child.pid, signal.SIGSTOP)
    running.sink.stop(0.2)
    assert not running.sink.alive


def test_a_sink_that_cannot_open_its_door_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = {"port": taken.getsockname()[1], "doors": []}
        with pytest.raises(EquipmentError, match="address already in use"):
            SinkChild.start(
                "chaoskit.observe.webhook_sink",
                config,
                name="webhook-sink",
                log=tmp_path / "log",
                on_event=Seen().add,
            )


def test_a_sink_that_ends_before_it_is_ready_says_so(tmp_path: Path) -> None:
    with pytest.raises(EquipmentError, match="No module named"):
        SinkChild.start("chaoskit.observe.no_such_sink", {}, name="no-sink", log=tmp_path / "log", on_event=Seen().add)


def test_a_configuration_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    with pytest.raises(EquipmentError, match="port"):
        SinkChild.start(
            "chaoskit.observe.webhook_sink",
            {"doors": []},
            name="webhook-sink",
            log=tmp_path / "log",
            on_event=Seen().add,
        )


def test_a_client_that_never_ends_its_request_keeps_no_other_notice_waiting(webhook: Running, mail: Running) -> None:
    with (
        socket.create_connection(("127.0.0.1", webhook.port), timeout=20) as slow_post,
        socket.create_connection(("127.0.0.1", mail.port), timeout=20) as slow_mail,
    ):
        slow_post.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        slow_mail.sendall(b"EHLO x\r\nMAIL FROM:<a@x>\r\n")
        post(webhook.port)
        send_mail(mail.port)
        webhook.seen.notices(1)
        mail.seen.notices(1)


def test_sinks_listen_on_loopback_only(webhook: Running, mail: Running) -> None:
    for running in (webhook, mail):
        doors = [c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == running.port]
        assert set(doors) == {"127.0.0.1"}


@pytest.mark.parametrize("kind", ["mail", "webhook"])
def test_strangers_who_fill_a_sink_keep_no_notice_out_and_end_its_watch(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """210 connections that never end what they say; a notice that comes then is taken, and counts as late at most."""
    running: Running = request.getfixturevalue(kind)
    unfinished = {"mail": b"EHLO x\r\n", "webhook": b"POST /door/0 HTTP/1.1\r\nHost: x\r\n"}
    with contextlib.ExitStack() as strangers:
        for _ in range(210):
            one = strangers.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=20))
            one.sendall(unfinished[kind])
        SEND[kind](running.port)
        running.seen.notices(1)
    told = running.seen.wait(lambda event: isinstance(event, Watch) and event.refused)
    assert isinstance(told, Watch)
    assert told.refused >= 11


FIRING = b'{"version": "4", "status": "firing", "alerts": [{"status": "firing", "labels": {"alertname": "Forged"}}]}'


FORGED = [
    ({"Content-Type": "application/json"}, "/door/0", "the sender lacks this door's token"),
    ({**HEAD, "Authorization": "Bearer another-word"}, "/door/0", "the sender lacks this door's token"),
    (
        {**HEAD, "Origin": "https://evil.example"},
        "/door/0",
        "a web page sent the request (Origin: https://evil.example)",
    ),
    ({**HEAD, "Origin": "null"}, "/door/0", "a web page sent the request (Origin: null)"),
    (
        {**HEAD, "Sec-Fetch-Site": "cross-site"},
        "/door/0",
        "a web page of elsewhere sent the request (Sec-Fetch-Site: cross-site)",
    ),
    ({**HEAD, "Host": "evil.example"}, "/door/0", "the request names another host (Host: evil.example)"),
    (
        {**HEAD, "Content-Type": "text/plain"},
        "/door/0",
        "the request's Content-Type is text/plain, not application/json",
    ),
    ({"Content-Type": "application/x-www-form-urlencoded"}, "/door/1", "Alertmanager did not send it"),
    (HEAD, "/door/7", "the sink has no such address"),
    (HEAD, "/alerts/critical", "the sink has no such address"),
]


def test_a_post_of_anything_but_alertmanager_is_refused_counted_and_no_notice(webhook: Running) -> None:
    assert post(webhook.port, FIRING) == 200  # the control: with the word, in the right form
    assert [post(webhook.port, FIRING, head, path) for head, path, _ in FORGED] == [403] * len(FORGED)
    webhook.sink.stop()
    told: Counter[tuple[str, str]] = Counter()
    for event in webhook.seen.events:
        if isinstance(event, Stranger):
            told[event.receiver, event.reason] += event.count
    assert told == Counter(("" if "no such" in reason else "ops", reason) for _, _, reason in FORGED)
    webhook.seen.notices(1)


def test_a_mail_without_the_doors_word_is_refused_counted_and_no_notice(mail: Running) -> None:
    send_mail(mail.port)
    for word, refusal in (("", smtplib.SMTPSenderRefused), ("another-word", smtplib.SMTPAuthenticationError)):
        with pytest.raises(refusal):
            send_mail(mail.port, word=word)
    mail.sink.stop()
    told = [event for event in mail.seen.events if isinstance(event, Stranger)]
    assert {event.receiver for event in told} == {"ops"}
    assert sum(event.count for event in told) == 2
    mail.seen.notices(1)


def test_a_socket_of_alertmanagers_own_process_vouches_for_what_bears_no_word(tmp_path: Path) -> None:
    """Alertmanager is the process that listens on its port and descends from whoever started the sink."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen = Seen()
    config = {**WEB_CONFIG, "alertmanager": listener.getsockname()[1]}
    log = tmp_path / "log"
    sink = SinkChild.start("chaoskit.observe.webhook_sink", config, name="webhook-sink", log=log, on_event=seen.add)
    program = (
        "import sys, socket, urllib.request as u\n"
        "r = u.Request(sys.argv[1], b'a=b', {'Content-Type': 'application/x-www-form-urlencoded'})\n"
        "print(u.build_opener(u.ProxyHandler({})).open(r, timeout=20).status)"
    )
    url = f"http://127.0.0.1:{sink.ports[0]}/door/1"
    try:
        for vouched, fds in ((True, [listener.fileno()]), (False, [])):
            words = [sys.executable, "-c", program, url]
            run = subprocess.run(words, pass_fds=fds, capture_output=True, text=True, timeout=30, check=False)
            assert (run.stdout.strip() == "200") is vouched, run.stderr
    finally:
        sink.stop()
        listener.close()
    seen.notices(1)
    assert [event.reason for event in seen.events if isinstance(event, Stranger)] == ["Alertmanager did not send it"]
