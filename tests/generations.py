"""Prometheus and Alertmanager of several Debian generations, for tests that must hold on each of them.

`own` is what every command would find. The others come from the private cache, which `python -m
chaoskit.stack.install --suite NAME` fills without touching the first; a test on one that is not there is skipped.
"""

from __future__ import annotations

import pytest

from chaoskit.errors import BadInput
from chaoskit.stack.binaries import Binaries, os_release, require

SUITES = ("bookworm", "trixie")
GENERATIONS = ("own", *(suite for suite in SUITES if suite != os_release().get("VERSION_CODENAME")))


def programs(generation: str) -> Binaries:
    """The four programs of this generation; skips the test where it is another one than this machine's and missing."""
    if generation == "own":
        return require()
    try:
        return require(generation)
    except BadInput as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session", params=GENERATIONS)
def generation(request: pytest.FixtureRequest) -> Binaries:
    """The four programs, of each generation in turn."""
    return programs(request.param)
