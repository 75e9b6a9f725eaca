"""The mails of the bundle, rendered by amtool: what is in them, for whom, and that values cannot break out of them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chaoskit.bundle import folder

if TYPE_CHECKING:
    from chaoskit.stack.binaries import Binaries

pytestmark = pytest.mark.stack

Render = Callable[[str, dict[str, Any]], str]
RED, YELLOW, GREEN = "#b3261e", "#ffd54f", "#1e7d34"
VOID = {"meta", "br"}
NEVER = "0001-01-01T00:00:00Z"
HOSTILE = "\"><script>alert('x')</script>&amp;{{ .Labels }}"


class Page(HTMLParser):
    """Text by enclosing tag, links, and whether every tag that was opened is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def inside(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]

    @property
    def text(self) -> str:
        return "\n".join(text for _, text in self.texts)


def alert(name: str = "WorkerUnhealthy", *, resolved: bool = False, **labels: str) -> dict[str, Any]:
    merged = {"alertname": name, "severity": "critical", "component": "worker", "team": "platform", **labels}
    about = labels.get("worker_name", "the service")
    return {
        "status": "resolved" if resolved else "firing",
        "labels": merged,
        "annotations": {
            "summary": f"{name} of {about}",
            "description": f"What {about} does.\n\nImpact: some.\n\nTroubleshooting:\n1. Look.",
            "runbook": "https://docs.insa-crm.com/runbooks/worker-unhealthy",
        },
        "startsAt": "2026-03-04T05:06:07.891Z",
        "endsAt": "2026-03-04T07:21:37.9+01:00" if resolved else NEVER,
        "generatorURL": "http://localhost:9090/graph?g0.expr=x+%3D%3D+0&g0.tab=1",
        "fingerprint": "0123456789abcdef",
    }


def notice(*alerts: dict[str, Any]) -> dict[str, Any]:
    common = set.intersection(*(set(a["labels"].items()) for a in alerts))
    return {
        "receiver": "worker-alerts",
        "status": "firing" if any(a["status"] == "firing" for a in alerts) else "resolved",
        "alerts": alerts,
        "groupLabels": {},
        "commonLabels": dict(common),
        "commonAnnotations": {},
        "externalURL": "http://localhost:9093",
    }


@pytest.fixture
def render(binaries: Binaries, tmp_path: Path) -> Render:
    """Executes one of our templates as Alertmanager would: html/template for the HTML, text/template otherwise."""

    def run(template: str, data: dict[str, Any]) -> str:
        file = tmp_path / "data.json"
        file.write_text(json.dumps(data), encoding="utf-8")
        done = subprocess.run(
            [
                str(binaries.amtool),
                "template",
                "render",
                f"--template.glob={folder() / 'templates' / '*.tmpl'}",
                f'--template.text={{{{ template "{template}" . }}}}',
                f"--template.type={'html' if template == 'insa.html' else 'text'}",
                f"--template.data={file}",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def colours(html: str) -> set[str]:
    return set(re.findall("|".join((RED, YELLOW, GREEN)), html))


SUBJECTS = {
    "[FIRING:1] CRITICAL WorkerUnhealthy (worker) worker-2": [alert(worker_name="worker-2")],
    "[RESOLVED:1] CRITICAL WorkerUnhealthy (worker) worker-2": [alert(worker_name="worker-2", resolved=True)],
    "[FIRING:2] CRITICAL WorkerUnhealthy (worker) worker-1, worker-3": [
        alert(worker_name="worker-1"),
        alert(worker_name="worker-2", resolved=True),
        alert(worker_name="worker-3"),
    ],
    "[FIRING:5] CRITICAL WorkerUnhealthy (worker) worker-1, worker-2, worker-3, ...": [
        alert(worker_name=f"worker-{n}") for n in range(1, 6)
    ],
    "[FIRING:1] CRITICAL MultipleWorkersDown (worker)": [alert("MultipleWorkersDown")],
    "[FIRING:2] WARNING": [
        alert("LowCacheHitRate", severity="warning", component="cache"),
        alert("WorkerFrequentRestarts", severity="warning", worker_name="worker-1"),
    ],
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_subject_says_how_many_how_bad_what_and_whose(render: Render, subject: str) -> None:
    assert render("insa.subject", notice(*SUBJECTS[subject])).removesuffix("\n") == subject


def test_a_firing_critical_alert_is_red_and_says_everything(render: Render) -> None:
    html = render("insa.html", notice(alert(worker_name="worker-2")))
    page = Page(html)
    assert colours(html) == {RED}
    assert page.inside("h1") == ["1 firing: WorkerUnhealthy"]
    assert page.inside("h2") == ["Firing"]
    assert page.inside("h3") == ["Component: worker"]
    assert page.inside("span") == ["CRITICAL"]
    assert page.inside("pre") == ["What worker-2 does.\n\nImpact: some.\n\nTroubleshooting:\n1. Look."]
    assert "WorkerUnhealthy of worker-2" in page.inside("td")
    assert {"2026-03-04 05:06:07 UTC", "still firing", "worker-2", "platform"} <= set(page.inside("td"))
    assert page.links == [
        "https://docs.insa-crm.com/runbooks/worker-unhealthy",
        "http://localhost:9090/graph?g0.expr=x+%3D%3D+0&g0.tab=1",
        "http://localhost:9093",
    ]


def test_a_firing_warning_is_yellow(render: Render) -> None:
    html = render("insa.html", notice(alert("WorkerHighQueueDepth", severity="warning")))
    assert colours(html) == {YELLOW}
    assert Page(html).inside("span") == ["WARNING"]


def test_a_resolved_alert_is_green_whatever_its_severity_and_says_when_it_ended(render: Render) -> None:
    html = render("insa.html", notice(alert(worker_name="worker-2", resolved=True)))
    page = Page(html)
    assert colours(html) == {GREEN}
    assert page.inside("h1") == ["Resolved: WorkerUnhealthy"]
    assert page.inside("h2") == ["Resolved"]
    assert page.inside("span") == ["RESOLVED"]
    assert "2026-03-04 06:21:37 UTC, after 1h15m30s" in page.inside("td")
    assert "firing" not in page.text


def test_firing_comes_before_resolved_and_each_part_is_grouped_by_component(render: Render) -> None:
    html = render(
        "insa.html",
        notice(
            alert("A", worker_name="worker-3", resolved=True),
            alert("B", worker_name="worker-1"),
            alert("C", severity="warning", component="cache"),
            alert("D", worker_name="worker-2"),
            alert("E", component=""),
        ),
    )
    page = Page(html)
    assert colours(html) == {RED, YELLOW, GREEN}
    assert page.inside("h1") == ["4 firing, 1 resolved"]
    order = [text for tag, text in page.texts if tag in {"h2", "h3", "strong"} and text != "Runbook:"]
    assert order == [
        "Firing",
        "Component: worker",
        "B",
        "D",
        "Component: cache",
        "C",
        "Component: none",
        "E",
        "Resolved",
        "Component: worker",
        "A",
    ]


def test_the_head_is_red_as_soon_as_one_firing_alert_is_critical_and_not_for_a_resolved_one(render: Render) -> None:
    minor = alert("WorkerHighQueueDepth", severity="warning")
    for others, colour in (([alert()], RED), ([alert(resolved=True)], YELLOW)):
        html = render("insa.html", notice(minor, *others))
        head = html[: html.index("<h1")]
        assert colours(head) == {colour}


def test_the_page_is_html5_for_narrow_and_simple_mail_clients(render: Render) -> None:
    html = render("insa.html", notice(alert(worker_name="worker-2")))
    tags = Page(html).tags
    assert html.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert '<meta charset="utf-8">' in html
    assert "width=device-width" in html
    assert not {"script", "style", "link", "img", "iframe", "font", "center"} & set(tags)
    assert tags.count("title") == tags.count("h1") == 1
    assert "ZgotmplZ" not in html
    widths = [int(n) for n in re.findall(r"(?<!max-)width:\s*(\d+)px", html)]
    assert widths == []


def test_values_arrive_as_text_and_never_as_markup(render: Render) -> None:
    hostile = alert(HOSTILE, worker_name=HOSTILE, component=HOSTILE, severity=HOSTILE, instance=HOSTILE)
    hostile["annotations"] = dict.fromkeys(("summary", "description", "runbook"), HOSTILE)
    hostile["generatorURL"] = "javascript:alert(1)"
    data = notice(hostile) | {"receiver": HOSTILE, "externalURL": "javascript:alert(2)"}
    html = render("insa.html", data)
    page = Page(html)
    assert "script" not in page.tags
    assert "<script" not in html
    assert not [link for link in page.links if link.lower().startswith("javascript:")]
    assert page.inside("pre") == [HOSTILE]
    assert page.inside("h1") == [f"1 firing: {HOSTILE}"]
    assert page.inside("h3") == [f"Component: {HOSTILE}"]
    assert page.inside("td").count(HOSTILE) == 3, "the summary and two labels"


def test_the_plain_text_says_the_same(render: Render) -> None:
    text = render(
        "insa.text",
        notice(alert(worker_name="worker-1"), alert(worker_name="worker-2", resolved=True)),
    )
    assert text.startswith("[FIRING:1] CRITICAL WorkerUnhealthy (worker) worker-1\n\nFIRING\n\nComponent: worker\n")
    firing, resolved = text.split("\nRESOLVED\n")
    assert "CRITICAL WorkerUnhealthy: WorkerUnhealthy of worker-1\nStarted: 2026-03-04 05:06:07 UTC\n" in firing
    assert "\nEnded:   still firing\nteam: platform\nworker_name: worker-1\n" in firing
    assert "\nEnded:   2026-03-04 06:21:37 UTC, after 1h15m30s\n" in resolved
    for part in (firing, resolved):
        assert "\n\nImpact: some.\n\nTroubleshooting:\n1. Look.\n" in part
        assert "\nRunbook: https://docs.insa-crm.com/runbooks/worker-unhealthy\n" in part
    assert "\n\n\n" not in text
    assert text.rstrip().endswith("Sent to worker-alerts by Alertmanager, http://localhost:9093")


def test_an_alert_without_annotations_is_still_a_mail(render: Render) -> None:
    bare = alert() | {"annotations": {}, "generatorURL": ""}
    bare["labels"] = {"alertname": "Bare"}
    page = Page(render("insa.html", notice(bare)))
    assert page.inside("h1") == ["1 firing: Bare"]
    assert page.links == ["http://localhost:9093"]
    assert "<no value>" not in page.text + render("insa.text", notice(bare))
