"""A mail becomes a notice whatever it holds; which alerts it lists comes from the header alone."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.events import NoticedAlert
from chaoskit.localize.mail_header import GROUP_NAME, HEADER_NAME, parse_header
from chaoskit.localize.sink_addresses import SinkAddress
from chaoskit.observe.mail_sink import PART_LIMIT, mail_notice

DOOR = SinkAddress(receiver="ops", integration="email", index=1, speaks="email", port=2525)
FIRING = "firing;1795477500250000000;;alertname=A&worker+name=b%26c%3D%C3%BC&"
RESOLVED = "resolved;1795477500250000000;1795477600500000001;alertname=B&"


def read(content: bytes):  # type: ignore[no-untyped-def]
    return mail_notice(DOOR, sent=(1.0, 2.0), sender="a@x", recipients=["b@y"], content=content)


def test_a_rendered_header_gives_status_labels_and_instants() -> None:
    alerts, problems = parse_header(f"{FIRING} {RESOLVED} ")
    assert problems == []
    assert alerts == [
        NoticedAlert(status="firing", labels={"alertname": "A", "worker name": "b&c=ü"}, starts_at=1795477500.25),
        NoticedAlert(status="resolved", labels={"alertname": "B"}, starts_at=1795477500.25, ends_at=1795477600.5),
    ]


@pytest.mark.parametrize(
    "word",
    [
        "firing;1;alertname=A&",
        "firing;x;;alertname=A&",
        "resolved;1;;alertname=A&",
        "pending;1;;alertname=A&",
        "firing;1;;alertname&",
        "firing;1;;=A&",
    ],
)
def test_a_word_that_cannot_be_read_is_a_problem_and_not_a_guess(word: str) -> None:
    alerts, problems = parse_header(f"{word} {RESOLVED}")
    assert [alert.labels["alertname"] for alert in alerts] == ["B"]
    assert len(problems) == 1
    assert word in problems[0]


def test_a_header_without_alerts_is_a_problem() -> None:
    assert parse_header(" ") == ([], [f"{HEADER_NAME} lists no alert"])


@pytest.mark.parametrize(
    ("headers", "labels"),
    [
        (f"{GROUP_NAME}: alertname=A&worker+name=b%26c&;\r\n", {"alertname": "A", "worker name": "b&c"}),
        (f"{GROUP_NAME}: ;\r\n", {}),
        ("", None),
        (f"{GROUP_NAME}: alertname=A&\r\n", None),
        (f"{GROUP_NAME}: alertname;\r\n", None),
        (f"{GROUP_NAME}: ;\r\n{GROUP_NAME}: ;\r\n", None),
    ],
)
def test_the_labels_of_its_group_are_those_of_the_header_or_not_known(headers: str, labels: object) -> None:
    assert read(f"{headers}{HEADER_NAME}: {FIRING}\r\n\r\n".encode()).group_labels == labels


def test_subject_and_parts_are_decoded_and_the_door_names_the_receiver() -> None:
    mail = EmailMessage()
    mail["Subject"] = "Störung €"
    mail["To"] = "somebody@else"
    mail[HEADER_NAME] = f"{FIRING} {RESOLVED}"
    mail.set_content("schlicht ü")
    mail.add_alternative("<p>ä</p>", subtype="html", cte="quoted-printable")
    notice = read(mail.as_bytes())
    assert (notice.receiver, notice.integration, notice.index) == ("ops", "email", 1)
    assert (notice.sender, notice.recipients, notice.sent) == ("a@x", ["b@y"], (1.0, 2.0))
    assert notice.subject == "Störung €"
    assert (notice.html.strip(), notice.text.strip()) == ("<p>ä</p>", "schlicht ü")
    assert notice.status == "mixed"
    assert notice.problems == []


def test_one_alert_that_cannot_be_read_makes_the_status_unknown() -> None:
    notice = read(f"{HEADER_NAME}: {FIRING} nonsense\r\n\r\n".encode())
    assert notice.status == "unknown"
    assert len(notice.alerts) == 1
    assert notice.problems


def test_a_folded_or_encoded_header_is_read_all_the_same() -> None:
    assert len(read(f"{HEADER_NAME}: {FIRING}\r\n {RESOLVED}\r\n\r\n".encode()).alerts) == 2
    encoded = FIRING.replace("=", "=3D").replace("_", "=5F")
    assert read(f"{HEADER_NAME}: =?utf-8?q?{encoded}?=\r\n\r\n".encode()).alerts[0].labels["alertname"] == "A"


@pytest.mark.parametrize(
    ("subject", "status"),
    [
        ("[RESOLVED] A", "resolved"),
        ("[FIRING:2] A", "unknown"),
        ("FIRING and RESOLVED", "unknown"),
        ("unresolved", "unknown"),
        ("hello", "unknown"),
    ],
)
def test_without_the_header_nothing_is_claimed_but_a_certain_subject(subject: str, status: str) -> None:
    """Alertmanager calls a notice FIRING although some of its alerts have resolved."""
    notice = read(f"Subject: {subject}\r\n\r\n".encode())
    assert (notice.status, notice.alerts) == (status, [])
    assert HEADER_NAME in notice.problems[0]


def test_a_header_that_stands_there_twice_is_not_believed() -> None:
    notice = read(f"{HEADER_NAME}: {FIRING}\r\n{HEADER_NAME}: {RESOLVED}\r\n\r\n".encode())
    assert notice.alerts == []
    assert "2 times" in notice.problems[0]


def test_a_huge_part_is_cut_and_said() -> None:
    notice = read(b"Content-Type: text/html\r\n\r\n" + b"x" * (PART_LIMIT + 1))
    assert len(notice.html) == PART_LIMIT
    assert "HTML part" in notice.problems[1]


def test_a_part_in_a_wrong_character_set_is_said() -> None:
    notice = read(b"Content-Type: text/plain; charset=nowhere\r\n\r\nabc")
    assert notice.text == "abc"
    assert "nowhere" in notice.problems[1]


@given(st.binary(max_size=400), st.sampled_from([b"", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"]))
def test_whatever_arrives_becomes_a_notice(noise: bytes, start: bytes) -> None:
    assert read(start + noise).problems


def test_parts_within_parts_without_end_become_a_notice_too() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(1500))
    assert read(deep).problems
