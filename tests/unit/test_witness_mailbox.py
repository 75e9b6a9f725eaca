"""Mailboxes are read without a trace: Alertmanager's mails are told with the instant of sending, others are not."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaoskit.errors import BadInput, EquipmentError, Place
from chaoskit.events import Equipment, Watch
from chaoskit.scenario.model import Mailbox, Secret
from chaoskit.witness import follower as follower_module
from chaoskit.witness import mailbox as mailbox_module
from chaoskit.witness.mailbox import MailboxFollower, open_mailbox
from tests.imap_stub import PASSWORD, Folder, imap
from tests.receivers_examples import Seen

BY = "mailbox crew/email/1"
SENDERS = frozenset({"am@b.c"})


def mail(*, sender: str = "am@b.c", identity: str = "", subject: str = "[FIRING:1] Trouble") -> bytes:
    identity = identity or f"<{time.time_ns()}.123@host>"
    head = f"From: Alerts <{sender}>\r\nTo: ops@b.c\r\nSubject: {subject}\r\nMessage-Id: {identity}\r\n"
    return f"{head}Content-Type: text/html; charset=utf-8\r\n\r\n<p>Trouble</p>\r\n".encode()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox_module, "_EVERY_S", 0.05)
    monkeypatch.setattr(follower_module, "_SAID_S", 0.0)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[Folder], Mailbox]:
    pytest.importorskip("imapclient")
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)

    def make(folder: Folder) -> Mailbox:
        url = f"imap://127.0.0.1:{folder.port}"
        return Mailbox(imap=url, username="drill", password=Secret(file=str(secret)), place=Place("profile.yml", 3))

    return make


@contextmanager
def followed(settings: Mailbox) -> Iterator[Seen]:
    seen = Seen()
    follower = MailboxFollower(BY, open_mailbox(settings), SENDERS, lambda: (0.25, 0.5), seen)
    follower.begin("mend it")
    yield seen
    follower.end()


def test_alertmanagers_mails_are_told_with_their_instants_and_others_are_left_alone(
    settings: Callable[[Folder], Mailbox],
) -> None:
    with imap() as folder:
        folder.put(mail(subject="was there before"))
        with followed(settings(folder)) as seen:
            assert folder.idling.wait(10)
            folder.put(mail(sender="stranger@b.c"))
            folder.put(mail(identity="<not-alertmanagers@host>"))
            at = time.time()
            folder.put(mail())
            seen.wait(lambda: seen.notices(BY), "the mail")
    [notice] = seen.notices(BY)
    assert notice.sink_key == ("crew", "email", 1)
    assert notice.sent == pytest.approx((at - 0.5, at - 0.25), abs=0.2)
    assert notice.arrived is not None
    assert notice.arrived[1] >= at
    assert (notice.recipients, notice.subject, notice.problems) == (["ops@b.c"], "[FIRING:1] Trouble", [])
    assert folder.wrong == []
    assert not [event for event in seen.of(Equipment) if event.state == "down"]


def test_a_server_that_is_gone_for_a_while_loses_nothing_but_is_said_to_be_down(
    settings: Callable[[Folder], Mailbox],
) -> None:
    with imap() as folder, followed(settings(folder)) as seen:
        folder.down = True
        seen.wait(lambda: [e for e in seen.of(Equipment) if e.state == "down"], "it is missed")
        folder.put(mail())
        folder.down = False
        seen.wait(lambda: seen.notices(BY), "the mail that came meanwhile")
        seen.wait(lambda: seen.of(Equipment)[-1].state == "up", "it is back")
    spans = [event.seen for event in seen.of(Watch)]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))  # what lies there can be read later


def test_mails_that_are_numbered_anew_or_gone_make_a_gap(settings: Callable[[Folder], Mailbox]) -> None:
    with imap() as folder, followed(settings(folder)) as seen:
        folder.down = True
        seen.wait(lambda: [e for e in seen.of(Equipment) if e.state == "down"], "it is missed")
        folder.validity = 8
        folder.down = False
        seen.wait(lambda: seen.of(Equipment)[-1].state == "up", "it is back")
        with folder.arrived:
            at = time.time()
            folder.coming += 1  # a mail that was moved away at once
        seen.wait(lambda: any("gone before" in e.detail for e in seen.of(Equipment)), "the gap is told")
        told = len(seen.of(Watch))
        seen.wait(lambda: len(seen.of(Watch)) > told, "it is watched again")
    spans = [event.seen for event in seen.of(Watch)]
    assert not [one for one in spans if one[0] <= at <= one[1]]  # nothing is claimed of what lay between
    assert spans[-1][0] > at


def test_a_wrong_password_ends_it_at_once_and_is_never_shown(settings: Callable[[Folder], Mailbox]) -> None:
    with imap() as folder:
        wrong = settings(folder)
        assert wrong.password is not None
        Path(wrong.password.file).write_text("another-secret")
        with pytest.raises(EquipmentError, match="AUTHENTICATIONFAILED") as raised:
            MailboxFollower(BY, open_mailbox(wrong), SENDERS, lambda: (0.0, 0.0), Seen()).begin("mend it")
    assert "another-secret" not in str(raised.value)


def test_a_password_that_others_may_write_is_refused(settings: Callable[[Folder], Mailbox]) -> None:
    found = settings(Folder(port=1))
    assert found.password is not None
    Path(found.password.file).chmod(0o666)
    with pytest.raises(BadInput, match="other users may write to it"):
        open_mailbox(found)


def test_a_maildir_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(EquipmentError, match="cannot be read"):
        MailboxFollower(
            BY, open_mailbox(Mailbox(maildir=str(tmp_path / "no"))), SENDERS, lambda: (0, 0), Seen()
        ).begin()
