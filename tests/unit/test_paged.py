"""Before a drill on a running system: which real receivers it tells and how often; the quiet ones; an announcement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_attach_refusals import Case
from test_examine import Fake, played

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.errors import Refused
from chaoskit.examine import announce
from chaoskit.examine.announce import announced
from chaoskit.examine.preflight import refuse_unconfirmed
from chaoskit.plan.paged import paged
from chaoskit.report.terminal import plan_view
from chaoskit.run.planning import Asked, plan_for
from tests.attached_system import ROUTES, SCENARIO, processes_titled

MATCH, workers = processes_titled("a-paged-worker", "w-1", "w-2")


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path, match=MATCH, more="limits: {fault: 3m, run: 10m}\n")


def routes(case: Case, *changes: tuple[str, str]) -> None:
    """The bundle with another alertmanager.yml."""
    case.plan()
    text = ROUTES
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (case.folder / "bundle" / "alertmanager.yml").write_text(text)


def test_each_real_receiver_is_named_with_its_notifications(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """One that it fires and one that it is over, through mail and webhook."""
    plan = case.plan()[0]
    assert [str(one) for one in paged([plan])] == ["everybody (email, webhook): 4 notifications"]
    assert [one.most for one in paged([plan, plan])] == [8]
    with pytest.raises(Refused, match=r"It tells everybody \(email, webhook\): 8 notifications\."):
        refuse_unconfirmed([plan, plan], "")
    from chaoskit.cli.console import console

    console().print(plan_view(plan))
    assert "tells everybody (email, webhook): 4 notifications" in capsys.readouterr().out


def test_an_all_clear_that_is_not_sent_is_not_counted(case: Case) -> None:
    routes(case, ("{to: ops@b.c, send_resolved: true}", "{to: ops@b.c, send_resolved: false}"))
    (one,) = paged([case.plan()[0]])
    assert (one.least, one.most) == (3, 3)


def test_instances_of_one_group_may_be_told_together_or_apart(case: Case) -> None:
    case.scenario = SCENARIO.replace("count: 1", "count: 2")
    assert [(one.least, one.most) for one in paged([case.plan()[0]])] == [(8, 8)]  # grouped by worker_name
    routes(case, ("[alertname, worker_name]", "[alertname]"))
    assert [str(one) for one in paged([case.plan()[0]])] == ["everybody (email, webhook): 4 to 8"]


def test_a_receiver_that_is_to_be_left_in_peace_is_told_by_no_drill(case: Case) -> None:
    case.target |= {"quiet_receivers": ["everybody"]}  # type: ignore[dict-item]
    assert case.complaints() == [
        "drill.yml:1: the run would tell everybody (email, webhook): 4 notifications, and the profile names everybody "
        "in quiet_receivers (lead its alerts elsewhere, or leave the scenario out)"
    ]
    case.target |= {"quiet_receivers": ["evrybody"]}  # type: ignore[dict-item]
    assert "receiver 'evrybody' is defined nowhere (did you mean 'everybody'?)" in case.complaints()[0]


# -- the announcement -----------------------------------------------------------------------------------------------


@pytest.fixture
def system(case: Case, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    """An Alertmanager that takes alerts."""
    monkeypatch.setattr(announce, "_SENDS_S", 0.0)
    with played() as fake:
        case.target |= {"alertmanager": fake.url}
        yield fake


def shows(fake: Fake, *changes: tuple[str, str]) -> None:
    text = ROUTES.replace("group_wait: 2s", "group_wait: 1ms")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    fake.pages = {"/api/v2/status": {"config": {"original": text}, "versionInfo": {"version": "0.33.0"}}}


def posted(fake: Fake) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = fake.posted
    return found


def test_an_announcement_comes_first_and_its_end_afterwards(case: Case, system: Fake) -> None:
    shows(system)
    said: list[str] = []
    with announced([case.plan()[0]], said.append):
        (first,) = posted(system)
        assert first["labels"]["alertname"] == "ChaoskitDrill"
        assert first["annotations"]["summary"].startswith("drill in staging, ends at ")
    _, last = posted(system)
    assert last["labels"] == first["labels"]
    assert last["annotations"]["summary"].startswith("drill in staging, ended at ")
    assert last["endsAt"] < first["endsAt"]
    assert said == ["announced to everybody; the drill begins in 0 s"]


def test_an_announcement_ends_also_after_a_drill_that_failed(case: Case, system: Fake) -> None:
    shows(system)
    with pytest.raises(ZeroDivisionError), announced([case.plan()[0]], lambda line: None):
        raise ZeroDivisionError
    assert len(posted(system)) == 2


def test_an_announcement_that_would_join_the_drills_own_group_is_not_sent(case: Case, system: Fake) -> None:
    shows(system, ("[alertname, worker_name]", "[severity]"))
    said: list[str] = []
    with announced([case.plan()[0]], said.append):
        assert posted(system) == []
    assert said == ["not announced to everybody: an announcement would share a group with the drill's alerts"]


def test_an_announcement_of_a_drill_on_the_local_stack_is_refused(tmp_path: Path) -> None:
    plan, *_ = plan_for(Asked("worker-unhealthy", "local", ConfigFiles(bundle.folder())))
    with pytest.raises(Refused, match="and this one is local"), announced([plan], lambda line: None):
        pytest.fail("it began")


def test_a_drill_whose_announcement_cannot_be_made_does_not_begin(case: Case, system: Fake) -> None:
    system.pages = {}
    with pytest.raises(Refused), announced([case.plan()[0]], lambda line: None):
        pytest.fail("it began")
