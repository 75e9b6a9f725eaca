"""What the observers say of the real Prometheus and Alertmanager, against what the notices themselves tell."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest
import requests
import yaml

from chaoskit.events import AlertState, Event, Notice, Poll, Suppression, Watch
from chaoskit.host.ports import reserve
from chaoskit.host.process import Child, spawn, wait_until
from chaoskit.localize.mail_header import HEADER_NAME, HEADER_TEMPLATE
from chaoskit.observe.alertmanager import AlertmanagerObserver
from chaoskit.observe.prometheus import PrometheusObserver
from chaoskit.observe.sinks import SinkChild
from chaoskit.stack.monitoring import start_alertmanager
from tests.http_stub import METRICS, Handler, Server, serving

pytestmark = pytest.mark.stack

E = TypeVar("E", bound=Event)
INTERVAL_S = 0.25
TEAM = "Büro & Söhne=1; 100%"

RULES = {
    "groups": [
        {
            "name": "observed",
            "interval": "250ms",
            "rules": [
                {
                    "alert": "Flip",
                    "expr": "flip == 1",
                    "for": "500ms",
                    "labels": {"severity": "critical", "team": TEAM},
                    "annotations": {"summary": "it flipped to {{ $value }}"},
                },
                {"alert": "Witness", "expr": "vector(1)", "labels": {"severity": "none"}},
                # Later than its source, or the first flush would not know of that; and later than the 5 s after which
                # Prometheus knows Alertmanager at all, or both would come in one post.
                {"alert": "Muted", "expr": "vector(1)", "for": "9s", "labels": {"severity": "critical"}},
            ],
        }
    ]
}


@dataclass
class Seen:
    """Events as they come, and waiting for one of them."""

    events: list[Event] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in list(self.events) if isinstance(event, kind)]

    def wait(self, kind: type[E], wanted: Callable[[E], object], timeout_s: float = 20) -> E:
        with self.changed:
            self.changed.wait_for(lambda: any(wanted(e) for e in self.of(kind)), timeout_s)
        found = [e for e in self.of(kind) if wanted(e)]
        assert found, f"no such {kind.__name__} within {timeout_s} s; seen: {self.of(kind)[-5:]}"
        return found[0]


class Metric(Handler):
    """A page with one gauge."""

    value = 0

    def do_GET(self) -> None:
        self.answer(f"# TYPE flip gauge\nflip {type(self).value}\n", kind=METRICS)


@dataclass
class Stack:
    seen: Seen
    prometheus: Child
    start_prometheus: Callable[[], Child]
    prometheus_url: str
    alertmanager_url: str
    observer: PrometheusObserver


@pytest.fixture(scope="module")
def target() -> Iterator[Server]:
    with serving(Metric) as server:
        yield server


@pytest.fixture(scope="module")
def stack(binaries, target: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Sinks, Alertmanager, Prometheus, a target, and both observers on them."""
    folder: Path = tmp_path_factory.mktemp("observed")
    seen = Seen()
    am_port, prom_port = reserve(2)
    mail = SinkChild.start(
        "chaoskit.observe.mail_sink",
        {"doors": [{"receiver": "team", "integration": "email", "speaks": "email"}], "extra_port": 0},
        name="mail-sink",
        log=folder / "mail.log",
        on_event=seen.add,
    )
    web = SinkChild.start(
        "chaoskit.observe.webhook_sink",
        {
            "port": 0,
            "doors": [{"receiver": "team", "integration": "webhook", "speaks": "webhook", "path": "/door/0/x"}],
            "alertmanager": am_port,
        },
        name="webhook-sink",
        log=folder / "web.log",
        on_event=seen.add,
    )
    write(folder / "alertmanager.yml", alertmanager_config(mail.ports[0], web.ports[0]))
    write(folder / "rules.yml", RULES)
    write(folder / "prometheus.yml", prometheus_config(am_port, target.server_port))
    am_url, prom_url = f"http://127.0.0.1:{am_port}", f"http://127.0.0.1:{prom_port}"
    alertmanager = start_alertmanager(binaries, folder / "alertmanager.yml", folder / "am", am_port, folder / "am.log")

    def start_prometheus() -> Child:
        return spawn(
            [
                binaries.prometheus,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/prom",
                f"--web.listen-address=127.0.0.1:{prom_port}",
                "--rules.alert.resend-delay=500ms",
            ],
            name="prometheus",
            log=folder / "prom.log",
        )

    prometheus = start_prometheus()
    observers = [
        PrometheusObserver(prom_url, every_s=0.08, on_event=seen.add),
        AlertmanagerObserver(am_url, every_s=0.1, on_event=seen.add),
    ]
    for observer in observers:
        observer.start()
    running = Stack(seen, prometheus, start_prometheus, prom_url, am_url, observers[0])
    wait_until(lambda: scraped(prom_url), timeout_s=20, what="flip is scraped", child=prometheus)
    yield running
    for observer in observers:
        observer.stop()
    running.prometheus.stop()
    alertmanager.stop()
    web.stop()
    mail.stop()


def write(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def alertmanager_config(mail_port: int, web_port: int) -> dict[str, object]:
    email = {
        "to": "ops@example.org, night@example.org",
        "from": "alerts@example.org",
        "smarthost": f"127.0.0.1:{mail_port}",
        "require_tls": False,
        "send_resolved": True,
        "html": "<p>{{ .Status }} – {{ .CommonLabels.team }} {{ .CommonAnnotations.summary }}</p>",
        "text": "{{ .Status }} – plain",
        "headers": {"Subject": "[{{ .Status }}] Störung", HEADER_NAME: HEADER_TEMPLATE},
    }
    return {
        "route": {
            "receiver": "nobody",
            "group_by": ["alertname"],
            "group_wait": "100ms",
            "group_interval": "500ms",
            "routes": [{"matchers": ['alertname=~"Flip|Muted"'], "receiver": "team"}],
        },
        "inhibit_rules": [
            {"source_matchers": ["alertname=Witness"], "target_matchers": ["alertname=Muted"]},
        ],
        "receivers": [
            {"name": "nobody"},
            {
                "name": "team",
                "email_configs": [email],
                "webhook_configs": [{"url": f"http://127.0.0.1:{web_port}/door/0/x"}],
            },
        ],
    }


def prometheus_config(am_port: int, target_port: int) -> dict[str, object]:
    return {
        "global": {"scrape_interval": "250ms", "scrape_timeout": "200ms", "evaluation_interval": "250ms"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "flip", "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}]}],
        "alerting": {
            "alertmanagers": [{"api_version": "v2", "static_configs": [{"targets": [f"127.0.0.1:{am_port}"]}]}]
        },
    }


def scraped(url: str) -> bool:
    try:
        answer = requests.get(url + "/api/v1/query", params={"query": "flip"}, timeout=2).json()
    except (requests.RequestException, ValueError):
        return False
    return bool(answer.get("data", {}).get("result"))


def of(name: str, state: str, after: float = 0) -> Callable[[AlertState], bool]:
    return lambda e: e.labels["alertname"] == name and e.state == state and e.at > after


def of_flip(event: Notice) -> bool:
    return any(alert.labels["alertname"] == "Flip" for alert in event.alerts)


def test_transitions_are_exact_and_equal_what_the_notices_say(stack: Stack) -> None:
    """A metric flips and flips back: pending, firing and inactive at the instants that webhook and mail tell."""
    seen = stack.seen
    Metric.value = 1
    firing = {
        kind: seen.wait(Notice, lambda e, k=kind: e.integration == k and e.status == "firing" and of_flip(e))
        for kind in ("webhook", "email")
    }
    Metric.value = 0
    resolved = {
        kind: seen.wait(Notice, lambda e, k=kind: e.integration == k and e.status == "resolved")
        for kind in ("webhook", "email")
    }
    pending = seen.wait(AlertState, of("Flip", "pending"))
    fired = seen.wait(AlertState, of("Flip", "firing"))
    gone = seen.wait(AlertState, of("Flip", "inactive"))
    assert pending.active_at == pytest.approx(pending.at, abs=0.001)
    assert fired.at - pending.at >= 0.5
    assert fired.previous is not None
    # Witness fires at every evaluation of the group, so each of them is known of, however late a look was.
    assert fired.at - fired.previous < fired.at - pending.at
    for kind in ("webhook", "email"):
        (told,) = firing[kind].alerts
        assert (told.starts_at, told.ends_at) == (fired.at, None)
        (told,) = resolved[kind].alerts
        assert (told.starts_at, told.ends_at) == (fired.at, gone.at)
        assert told.labels == gone.labels == fired.labels == pending.labels
        assert told.labels["team"] == TEAM
    assert firing["webhook"].alerts[0].annotations == {"summary": "it flipped to 1"}
    assert firing["webhook"].group_key
    assert fired.value == "1e+00"


def test_a_notice_is_sent_after_its_alert_fired_and_group_wait_and_before_it_is_seen(stack: Stack) -> None:
    notices = [notice for notice in stack.seen.of(Notice) if of_flip(notice)]
    assert notices
    for notice in notices:
        (alert,) = notice.alerts
        begun = alert.starts_at + 0.1 if alert.status == "firing" else alert.ends_at
        assert begun is not None
        assert begun <= notice.sent[1]
        assert notice.sent[0] <= notice.sent[1]


def test_a_mail_is_read_whole(stack: Stack) -> None:
    mail = stack.seen.wait(Notice, lambda e: e.integration == "email" and of_flip(e) and e.status == "firing")
    assert (mail.receiver, mail.index) == ("team", 0)
    assert mail.sender == "alerts@example.org"
    assert mail.recipients == ["ops@example.org", "night@example.org"]
    assert mail.subject == "[firing] Störung"
    assert mail.html == "<p>firing – Büro &amp; Söhne=1; 100% it flipped to 1</p>"
    assert mail.text == "firing – plain"
    assert mail.problems == []


def test_a_muted_alert_is_suppressed_by_its_source_and_never_noticed(stack: Stack) -> None:
    muted = stack.seen.wait(Suppression, lambda e: e.labels["alertname"] == "Muted" and e.state == "suppressed", 40)
    assert [source["alertname"] for source in muted.inhibited_by] == ["Witness"]
    assert muted.receivers == ["team"]
    active = stack.seen.wait(Suppression, lambda e: e.labels["alertname"] == "Flip")
    assert (active.state, active.inhibited_by) == ("active", [])
    gone = stack.seen.wait(Suppression, lambda e: e.labels["alertname"] == "Flip" and e.state == "gone")
    ended = stack.seen.wait(AlertState, of("Flip", "inactive"))
    assert gone.seen[1] >= ended.at
    assert not [
        notice for notice in stack.seen.of(Notice) for alert in notice.alerts if alert.labels["alertname"] == "Muted"
    ]


def test_polls_cover_the_run_without_a_gap_and_are_few(stack: Stack) -> None:
    polls = [poll for poll in stack.seen.of(Poll) if poll.source == "prometheus"]
    good = [poll for poll in polls if poll.ok]
    assert good
    assert [p.seen_to for p in good] == sorted(p.seen_to for p in good if p.seen_to is not None)
    for poll in good:
        assert poll.skew is not None
        # One machine, one clock: no difference is inside the interval.
        assert poll.skew[0] <= 0 <= poll.skew[1]
    # Until Prometheus answers there is nothing but failures, and they say so.
    assert all(poll.detail for poll in polls if not poll.ok)
    changes = len(stack.seen.of(AlertState))
    assert len(good) <= changes + (good[-1].asked - good[0].asked) / 0.5 + 3


def test_both_sinks_keep_watch_without_a_gap(stack: Stack) -> None:
    for sink in ("mail-sink", "webhook-sink"):
        watches = [event.seen for event in stack.seen.of(Watch) if event.sink == sink]
        assert watches
        assert all(one[1] == following[0] for one, following in itertools.pairwise(watches))


def test_a_restart_of_prometheus_is_seen_as_such(stack: Stack) -> None:
    """Killed: failed polls. Started again: the alert's old life ends, a new one begins, nothing breaks."""
    before = stack.seen.wait(AlertState, of("Witness", "firing"))
    stack.prometheus.stop(0)
    failed = stack.seen.wait(Poll, lambda e: e.source == "prometheus" and not e.ok and e.asked > before.at + 2)
    assert failed.detail
    stack.prometheus = stack.start_prometheus()
    again = stack.seen.wait(AlertState, of("Witness", "firing", after=before.at + 1))
    ended = stack.seen.wait(AlertState, of("Witness", "inactive"))
    assert ended.previous is not None
    assert ended.previous < ended.at < again.at
    # Samples of the first evaluations after a start may be missing; Prometheus's own ActiveAt tells of those.
    assert again.active_at is not None
    assert before.at < again.active_at <= again.at + 0.001
    covered = stack.seen.wait(
        Poll, lambda e: e.source == "prometheus" and e.ok and e.seen_to is not None and e.seen_to >= again.at
    )
    assert covered.asked > failed.asked
