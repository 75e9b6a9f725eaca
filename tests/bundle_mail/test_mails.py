"""The mails that arrive: what a real Alertmanager of each generation makes of configuration and templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from chaoskit.bundle import folder
from chaoskit.stack.binaries import Binaries
from tests.bundle_mail.page import Page
from tests.generations import generation
from tests.live_alertmanager import Live, mails_as_shipped

pytestmark = [pytest.mark.stack, pytest.mark.outermost]
__all__ = ["generation"]

K = 60.0
RED, YELLOW, GREEN = "#b3261e", "#ffd54f", "#1e7d34"
HOSTILE = """"><script>alert('x')</script><b title='y'>&amp; {{ .Labels }} %s</b>"""
RUNBOOK = "https://docs.insa-crm.com/runbooks/low-cache-hit-rate"
TOLD = {
    "summary": "Only 62% of look-ups are answered from the cache",
    "description": "What it is.\n\nImpact: slow.\n\nTroubleshooting:\n1. Look at A & B < C.",
    "runbook": RUNBOOK,
}
QUERY = "http://prometheus.example.com/graph?g0.expr=up+%3D%3D+0&g0.tab=1"
Labels = dict[str, str]


def cache(**more: str) -> Labels:
    """A warning that goes to default-receiver alone."""
    return {
        "alertname": "LowCacheHitRate",
        "severity": "warning",
        "component": "cache",
        "team": "platform",
        **more,
    }


def critical(**more: str) -> Labels:
    """A critical alert of a component that no route of its own knows: default-receiver's and critical-alerts'."""
    return {"alertname": "HighTimeoutRate", "severity": "critical", "component": "api", "team": "platform", **more}


@pytest.fixture
def live(generation: Binaries, tmp_path: Path) -> Iterator[Live]:
    with mails_as_shipped(generation, folder() / "alertmanager.yml", tmp_path, K) as running:
        yield running


def arrived(live: Live, count: int) -> list[EmailMessage]:
    """The first `count` mails, as soon as they are all there."""
    live.sinks.wait(lambda: len(live.sinks.mails) >= count, f"mail number {count}")
    return live.sinks.mails[:count]


def parts(mail: EmailMessage) -> tuple[Page, str, str]:
    """The page, its source, and the plain text; a mail has exactly these two alternatives, plain first."""
    assert mail.get_content_type() == "multipart/alternative"
    plain, html = (part for part in mail.iter_parts() if isinstance(part, EmailMessage))
    assert [part.get_content_type() for part in (plain, html)] == ["text/plain", "text/html"]
    assert [str(part.get_content_charset()).lower() for part in (plain, html)] == ["utf-8", "utf-8"]
    # Lines of a mail end in CRLF.
    source, text = (str(part.get_content()).replace("\r\n", "\n") for part in (html, plain))
    return Page(source), source, text


def colours(source: str) -> set[str]:
    return set(re.findall("|".join((RED, YELLOW, GREEN)), source))


def test_a_warning_and_its_end(live: Live) -> None:
    """Yellow, then green; both say what, since when, where to look."""
    live.send(cache(), told=TOLD)
    (begin,) = arrived(live, 1)
    live.send(cache(), ended=True, told=TOLD)
    _, end = arrived(live, 2)
    for mail, word, colour, state in ((begin, "FIRING", YELLOW, "still firing"), (end, "RESOLVED", GREEN, "after")):
        assert mail["Subject"] == f"[{word}:1] WARNING LowCacheHitRate (cache)"
        assert (mail["From"], mail["To"]) == ("insa-crm-alerts@insaing.com", "w.aroca@insaing.com")
        page, source, text = parts(mail)
        assert colours(source) == {colour}
        assert page.links[:2] == [RUNBOOK, QUERY]
        assert TOLD["summary"] in page.inside("td")
        assert page.inside("pre") == [TOLD["description"]]
        assert [each for each in page.inside("td") if state in each]
        assert [each for each in page.inside("td") if re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", each)]
        for fact in (*TOLD.values(), state, "LowCacheHitRate", "Component: cache", "team: platform"):
            assert fact in text
        assert "<" not in text.replace("A & B < C", "")


def test_a_critical_alert_is_red_at_both_receivers(live: Live) -> None:
    live.send(critical(), told=TOLD)
    receivers = set()
    for mail in arrived(live, 2):
        assert mail["Subject"] == "[FIRING:1] CRITICAL HighTimeoutRate (api)"
        page, source, text = parts(mail)
        assert colours(source) == {RED}
        assert page.inside("span") == ["CRITICAL"]
        receivers |= set(re.findall(r"Sent to (\S+) by Alertmanager", text))
    assert receivers == {"critical-alerts", "default-receiver"}


def test_several_of_a_group_are_one_mail_and_what_ended_comes_below(live: Live) -> None:
    firing = [cache(instance=name, environment="production") for name in ("north", "south", "west")]
    live.send(*firing, told=TOLD)
    (first,) = arrived(live, 1)
    assert first["Subject"] == "[FIRING:3] WARNING LowCacheHitRate (cache) in production"
    page, source, _ = parts(first)
    assert page.inside("h1") == ["3 firing: LowCacheHitRate"]
    assert page.inside("h3") == ["Component: cache"]
    assert [text for text in page.inside("td") if text in ("north", "south", "west")] == ["north", "south", "west"]
    assert page.links.count(RUNBOOK) == 3
    live.send(firing[1], ended=True, told=TOLD)
    _, second = arrived(live, 2)
    page, source, text = parts(second)
    assert second["Subject"] == "[FIRING:2] WARNING LowCacheHitRate (cache) in production"
    assert page.inside("h1") == ["2 firing, 1 resolved: LowCacheHitRate"]
    assert page.inside("h2") == ["Firing", "Resolved"]
    assert page.inside("span") == ["WARNING", "WARNING", "RESOLVED"]
    assert colours(source) == {YELLOW, GREEN}
    assert text.index("north") < text.index("west") < text.index("south")


def test_what_a_label_or_an_annotation_holds_arrives_as_text(live: Live) -> None:
    """Markup, quotes and template code come through as they were written, and nothing of it acts."""
    told = {"summary": HOSTILE, "description": HOSTILE, "runbook": f"javascript:{HOSTILE}"}
    live.send(cache(instance=HOSTILE), told=told)
    (mail,) = arrived(live, 1)
    page, source, text = parts(mail)
    assert "<script" not in source.lower()
    assert page.inside("td").count(HOSTILE) == 2, "the summary and the label"
    assert page.inside("pre") == [HOSTILE]
    assert not [link for link in page.links if "javascript:" in link.lower()]
    assert text.count(HOSTILE) >= 3


def test_a_name_with_markup_harms_neither_subject_nor_headers(live: Live) -> None:
    live.send(cache(alertname=f"{HOSTILE}\r\nBcc: somebody@example.com"), told=TOLD)
    (mail,) = arrived(live, 1)
    assert mail["Bcc"] is None
    assert HOSTILE in re.sub(r"\s+", " ", mail["Subject"])
    page, source, _ = parts(mail)
    assert "<script" not in source.lower()
    assert HOSTILE in page.inside("strong")[0]


def test_an_alert_without_any_annotation_is_still_a_valid_mail(live: Live) -> None:
    live.send({"alertname": "Bare"})
    (mail,) = arrived(live, 1)
    assert mail["Subject"] == "[FIRING:1] Bare"
    page, source, text = parts(mail)
    assert page.inside("h1") == ["1 firing: Bare"]
    assert "<no value>" not in source + text
