"""The promise file says what people were told; a promise that nothing could keep is refused."""

from __future__ import annotations

import pytest
from alerting_examples import load

from chaoskit.alerting.model import PromisedNotice, PromisedReceiver
from chaoskit.errors import BadInput, Place

PROMISE = """chaoskit: 1
delivery: 3s
runbook: https://docs.example.com/runbooks/
subject_contains: [ALERT]
receivers:
  everyone: {recipients: [ops@example.com, night@example.com], resolved: false}
alerts:
  WorkerDown:
    appears: 6s
    clears: 30s
    notices:
      everyone: {for: 1m, group_wait: 30s, repeat: 2h}
"""


def test_the_whole_promise_is_read() -> None:
    promise = load(promise=PROMISE).promise
    file = "notification_windows.yml"
    assert promise.notices == {
        ("WorkerDown", "everyone"): PromisedNotice("WorkerDown", "everyone", 60, 30, 7200, Place(file, 12))
    }
    recipients = ("ops@example.com", "night@example.com")
    assert promise.receivers == {
        "everyone": PromisedReceiver("everyone", recipients, False, Place(file, 6), ("email",))
    }
    assert (promise.appears_s, promise.clears_s, promise.delivery_s) == ({"WorkerDown": 6}, {"WorkerDown": 30}, 3)
    assert (promise.runbook_base, promise.subject_contains) == ("https://docs.example.com/runbooks/", ("ALERT",))


def test_without_a_promise_file_nothing_is_promised() -> None:
    promise = load().promise
    assert promise.notices == {}
    assert promise.receivers == {}
    assert promise.delivery_s is None


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        (
            "WorkerDwn:",
            "WorkerDown:",
            ":8: the alert 'WorkerDwn' is not defined in any rule file (did you mean 'WorkerDown'?)",
        ),
        ("everyon: {for", "everyone: {for", ":12: the receiver 'everyon' is not defined"),
        ("everyon: {rec", "everyone: {rec", ":6: the receiver 'everyon' is not defined"),
        ("repeats: 2h", "repeat: 2h", ":12: unknown key 'repeats' in the notice of 'WorkerDown' to 'everyone'"),
        ("for: 1", "for: 1m", "'1' is not a duration"),
        ("group_wait: soon", "group_wait: 30s", "'soon' is not a duration"),
        ("notice:", "notices:", "did you mean 'notices'?"),
        ("resolvd: false", "resolved: false", "did you mean 'resolved'?"),
        ("resolved: maybe", "resolved: false", "expected true or false"),
        ("chaoskit: 2", "chaoskit: 1", "the format version"),
        ("", "chaoskit: 1\n", "the format version, is missing"),
        ("recipients: ops@example.com", "recipients: [ops@example.com, night@example.com]", "expected a list"),
    ],
)
def test_a_mistake_is_named_with_its_place(wrong: str, right: str, expected: str) -> None:
    assert right in PROMISE
    with pytest.raises(BadInput) as caught:
        load(promise=PROMISE.replace(right, wrong, 1))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("written", "line"), [("runbook: https://docs.example.com/runbooks/", 3), ("subject_contains: [ALERT]", 4)]
)
def test_an_empty_text_that_every_notice_holds_is_no_promise(written: str, line: int) -> None:
    empty = {3: "runbook: ''", 4: "subject_contains: [' ']"}[line]
    with pytest.raises(BadInput, match=f"notification_windows.yml:{line}: an empty text, which every notice holds"):
        load(promise=PROMISE.replace(written, empty))


def test_a_notice_without_one_of_its_three_figures_is_refused() -> None:
    for key in ("for: 1m, ", "group_wait: 30s, ", ", repeat: 2h"):
        with pytest.raises(BadInput, match="does not say"):
            load(promise=PROMISE.replace(key, ""))
