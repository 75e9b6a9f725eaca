"""Every check of the verifier, in the order in which a verdict shows their rows: the run, each instance, what else."""

from __future__ import annotations

from typing import Any

from chaoskit.verify.attached import BACKGROUND_TRAFFIC, PAIRS
from chaoskit.verify.check import Check
from chaoskit.verify.checklist import GROUPED, RECEIVED
from chaoskit.verify.findings import FINDINGS
from chaoskit.verify.hops import HOPS
from chaoskit.verify.load import LOAD
from chaoskit.verify.never import NEVER
from chaoskit.verify.notification_content import CONTENT
from chaoskit.verify.preconditions import CLOCKS, CONFIGURATION, EFFECTS, END, STEADY, STEPS
from chaoskit.verify.promised import PROMISED
from chaoskit.verify.requests import EXIT_CODE, LIMITS
from chaoskit.verify.scripted import SCRIPTED, UNIT_TESTS
from chaoskit.verify.suppressed import SUPPRESSED
from chaoskit.verify.unproved import GIVEN_UP, UNPROVED, UNWITNESSED
from chaoskit.verify.volume import DAY, NOTICES, VOLUMES

CHECKS: tuple[Check[Any], ...] = (
    CONFIGURATION,
    STEADY,
    PAIRS,
    EFFECTS,
    STEPS,
    LOAD,
    BACKGROUND_TRAFFIC,
    LIMITS,
    EXIT_CODE,
    CLOCKS,
    END,
    *HOPS,
    UNPROVED,
    CONTENT,
    NOTICES,
    *PROMISED,
    SUPPRESSED,
    NEVER,
    RECEIVED,
    GROUPED,
    UNWITNESSED,
    GIVEN_UP,
    FINDINGS,
    VOLUMES,
    DAY,
    *SCRIPTED,
    *UNIT_TESTS,
)
