"""Fixtures that every test may use: the real binaries, found once a session as every command finds them."""

from __future__ import annotations

import gc
import signal

import pytest
from hypothesis import settings

from chaoskit.stack.binaries import Binaries, require
from tests.generations import (
    generation,
    pytest_collection_modifyitems,
    pytest_report_header,
    pytest_runtest_makereport,
)

__all__ = [
    "binaries",
    "generation",
    "pytest_collection_modifyitems",
    "pytest_report_header",
    "pytest_runtest_makereport",
]

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A suite that a shell started in the background, or nohup, is told of Ctrl-C and the like as any other.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


def pytest_collection_finish() -> None:
    """Some 400,000 objects are there before the first test and until the last: looking through them again and again for
    garbage took 8.7 of the 19.8 s of processor time of two files' tests, now 1.2 of 9.1."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """Prometheus, promtool, Alertmanager and amtool; a machine without them fails here, and says what mends it."""
    return require()
