"""The row of a notice's content with approved texts: kept, broken and not seen, on a recorded run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from msgspec import structs

from chaoskit import bundle
from chaoskit.events import AnyEvent, Notice
from chaoskit.history import History
from chaoskit.run.planning import approved_texts
from chaoskit.verify.verdict import Result, Row
from chaoskit.verify.verify import verify
from tests.golden.doctored import mapped, recorded

TEXTS = approved_texts(bundle.folder() / "approved", ["WorkerUnhealthy"])


def with_texts(texts: Mapping[str, str], *, without: str = "") -> History:
    """The recorded run with these approved texts, and without the mails of a receiver."""

    def change(event: AnyEvent) -> AnyEvent | None:
        lost = isinstance(event, Notice) and (event.receiver, event.integration) == (without, "email")
        return None if lost else event

    history = mapped(recorded("kept"), change)
    return replace(history, header=structs.replace(history.header, sources={**history.header.sources, **texts}))


def contents(history: History) -> dict[str, Row]:
    return {row.to: row for row in verify(history).rows if row.hop == "content"}


def changed(old: str, new: str) -> Row:
    """The row of worker-alerts' mails, whose approved texts say something else."""
    mine = {name: text.replace(old, new) for name, text in TEXTS.items() if "worker-alerts" in name}
    assert mine.items() - TEXTS.items()
    return contents(with_texts({**TEXTS, **mine}))["worker-alerts (email)"]


def test_a_notice_like_its_approved_text_says_so() -> None:
    rows = contents(with_texts(TEXTS))
    assert {(row.result, row.rests_on) for row in rows.values()} == {(Result.PASS, "2 notices, as approved")}


def test_a_notice_unlike_its_approved_text_fails_with_the_lines_that_differ() -> None:
    row = changed("still firing", "going on")
    assert row.result is Result.FAIL
    assert "the firing notice is not as approved: -Ended  going on | +Ended  still firing" in row.reason
    assert "-runbook" in changed("worker_name: <worker_name>", "runbook: <worker_name>").reason
    assert changed("RESOLVED WorkerUnhealthy", "OVER WorkerUnhealthy").result is Result.FAIL


def test_a_notice_that_was_not_seen_is_unknown_and_not_as_approved() -> None:
    row = contents(with_texts(TEXTS, without="worker-alerts"))["worker-alerts (email)"]
    assert row.result is Result.UNKNOWN
    assert "no firing notice was seen" in row.reason


def test_without_approved_texts_the_row_says_nothing_of_them() -> None:
    assert {row.rests_on for row in contents(with_texts({})).values()} == {"2 notices"}
