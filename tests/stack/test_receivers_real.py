"""A real Alertmanager with an event recorder: what its recorder, a mailbox and its counters show of its receivers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from chaoskit import bundle
from chaoskit.access import session_for
from chaoskit.alerting.config import load_config
from chaoskit.errors import Refused
from chaoskit.events import Deliveries, Equipment, Watch
from chaoskit.examine import receivers
from chaoskit.scenario.model import Attached, Mailbox
from chaoskit.witness import deliveries, mailbox
from chaoskit.witness.witnesses import Witnesses
from tests.generations import MOVING, programs
from tests.receivers_examples import Crew, Seen, crew, folder_as_it_is

pytestmark = pytest.mark.stack
BOX = "mailbox crew/email"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    with crew(tmp_path_factory.mktemp("crew"), programs(MOVING)) as found:
        yield found


def attached(running: Crew) -> Attached:
    boxes = {"crew/email": Mailbox(maildir=str(running.maildir))}
    return Attached("", running.url, "", "staging", recorder=str(running.recorder), mailboxes=boxes)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "_RECORDER_S", 0.1)
    monkeypatch.setattr(mailbox, "_EVERY_S", 0.1)
    monkeypatch.setattr(receivers, "_WITHIN_S", 2.0)


@pytest.fixture
def seen(running: Crew) -> Iterator[Seen]:
    target, found = attached(running), Seen()
    witnesses = Witnesses(target, lambda name: session_for(target, name), found)
    witnesses.begin()
    yield found
    witnesses.end()


def test_recorder_and_mailbox_show_what_was_delivered_and_nothing_of_what_was_refused(
    running: Crew, seen: Seen
) -> None:
    """The mailbox has the mail within a second of its sending, and nothing in it was moved, marked or removed."""
    running.send("Trouble", worker="w-1")
    seen.wait(lambda: len(seen.notices("recorder")) == 2 and seen.notices(BOX), "two deliveries and a mail")
    before = folder_as_it_is(running.maildir)
    assert {one.sink_key for one in seen.notices("recorder")} == {("crew", "email", 0), ("crew", "webhook", 0)}
    delivered = next(one for one in seen.notices("recorder") if one.integration == "email")
    assert [(one.status, one.labels) for one in delivered.alerts] == [
        ("firing", {"alertname": "Trouble", "worker": "w-1"})
    ]
    [mail] = seen.notices(BOX)
    assert mail.sent[0] <= delivered.sent[1]
    assert mail.arrived is not None
    assert mail.arrived[1] - mail.sent[0] < 5
    assert (mail.recipients, mail.sender) == (["ops@b.c"], "am@b.c")
    assert mail.subject.startswith("[FIRING:1] Trouble")
    running.send("Trouble", worker="w-1", ended=True)
    seen.wait(lambda: len(seen.notices(BOX)) == 2, "the mail of its end")
    seen.wait(lambda: any(one.status == "resolved" for one in seen.notices("recorder")), "the delivery of its end")
    assert before == [one for one in folder_as_it_is(running.maildir) if one in before]
    assert {one.sink for one in seen.of(Watch)} >= {"recorder", BOX}
    assert seen.of(Deliveries)[0].failed is not None


def test_a_recorder_that_is_switched_off_for_a_while_is_said_to_be_down(running: Crew, seen: Seen) -> None:
    block = {"file_outputs": [{"path": str(running.recorder)}]}
    running.load(event_recorder=None)
    seen.wait(lambda: [e for e in seen.of(Equipment) if e.state == "down"], "the recorder is missed")
    running.load(event_recorder=block)
    seen.wait(lambda: [e for e in seen.of(Equipment) if e.detail == "seen again"], "the recorder is back")
    [down] = [event for event in seen.of(Equipment) if event.state == "down"]
    assert down.name == "recorder"
    assert "off" in down.detail
    seen.wait(lambda: seen.of(Watch)[-1].sink == "recorder", "it is watched again")
    last = [one for one in seen.of(Watch) if one.sink == "recorder"][-1]
    assert last.seen[0] >= down.t  # the watch began anew: nothing is claimed of the gap


def test_doctor_tells_each_real_receiver_once_confirmed_and_says_what_arrived(running: Crew) -> None:
    """The webhook that refuses everything is found, and said to be counted as given up."""
    config = load_config(bundle.folder(), complete=True)
    with pytest.raises(Refused, match=r"a test alert to 1 receiver of staging: crew.*add --confirm staging"):
        list(receivers.examine_receivers(attached(running), config, "production"))
    found = {one.what: one for one in receivers.examine_receivers(attached(running), config, "staging")}
    assert {what: one.state for what, one in found.items()} == {
        "crew (email)": "ok",
        "crew (webhook)": "ok",
        "crew (webhook 2)": "missing",
    }
    assert "the mailbox crew/email after" in found["crew (email)"].detail
    assert "the recorder after" in found["crew (email)"].detail
    assert "not seen by the recorder within" in found["crew (webhook 2)"].detail
    assert re.search(r"gave up \d+ notifications? by webhook", found["crew (webhook 2)"].detail)
