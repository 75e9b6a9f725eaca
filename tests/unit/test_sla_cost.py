"""The budget that is gone when the phone rings, as a run measured it, and the price of a drill."""

from __future__ import annotations

import msgspec
import pytest

from chaoskit.check.service_levels import Level
from chaoskit.cli.sla import config_of
from chaoskit.errors import Place
from chaoskit.sla.cost import measured, price, promised
from chaoskit.verify.verdict import Figure, Verdict
from chaoskit.verify.verify import verify
from tests.golden.doctored import recorded

UP = Level("uptime", 0.001, ("up",), Place("t.yml", 1), time=True)
ERRORS = Level("errors", 0.001, ("insa_agent_requests_total",), Place("t.yml", 2))


def measured_by(*spans: tuple[str, str, tuple[float, float] | None]) -> Verdict:
    figures = [
        Figure(
            about=about, to=to, fault_to_notice=span, allowed=(0, 999), undo_to_all_clear=None, allowed_all_clear=None
        )
        for about, to, span in spans
    ]
    return msgspec.structs.replace(verify(recorded("kept")), figures=figures)


def test_of_a_run_the_notice_counts_that_was_certainly_first() -> None:
    verdict = measured_by(
        ("HighErrorRate", "default-receiver (email)", (340.0, 360.0)),
        ("HighErrorRate", "critical-alerts (webhook)", (330.0, 331.0)),
        ("HighErrorRate", "critical-alerts (email)", None),
        ("WorkerUnhealthy worker-1", "critical-alerts (email)", (80.0, 85.0)),
    )
    (one,) = measured(config_of(), [ERRORS, UP], 0.95, 900, [("run-1", verdict)])
    assert one.heard is not None
    assert (one.alert, one.heard.receiver, one.source) == ("HighErrorRate", "critical-alerts (webhook)", "run-1")
    assert one.hi == pytest.approx(0.95 * 331 / 2592)
    assert one.affordable == 2


def test_an_alert_that_is_not_raised_says_why() -> None:
    found = {one.alert: one for one in promised(config_of(), [ERRORS], 0.03, 0)}
    assert found["HighErrorRate"].heard is None
    assert found["HighErrorRate"].why == "the alert needs a bad share of more than 0.05"
    assert found["SLAErrorBudgetFastBurn"].heard is not None


def test_a_drill_is_priced_as_if_all_were_bad() -> None:
    one = price(UP, 180, 0.5)
    assert one.share == pytest.approx(180 / 2592)
    assert str(one) == "uptime: at most 6.9% of the month's budget (3m); 50.0% is left"
