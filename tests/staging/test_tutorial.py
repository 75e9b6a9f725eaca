"""The tutorial for a staging system: every step that it prints is run, in its order, on the shop."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.shop_system import EXAMPLE, ROOT, Shop, demo, running
from tests.staging_servers import folder

PAGE = ROOT / "docs" / "tutorial-staging.md"
TEXT = PAGE.read_text(encoding="utf-8")
STEPS: list[str] = re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL), re.MULTILINE)
START, HERE = "make staging-demo", (". .venv/bin/activate", "cd /var/lib/chaoskit-shop")
GATE, STOP = "make staging-gate", "make staging-stop"
ASKED = [step for step in STEPS if step not in (START, *HERE, GATE, STOP)]


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with running() as one:
        yield one


def shell(command: str, at: Path, shop: Shop | None = None, within_s: float = 150) -> subprocess.CompletedProcess[str]:
    """A step as it is printed, with the activated environment's programs."""
    environment = shop.environment() if shop else dict(os.environ)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(
        ["sh", "-c", command], cwd=at, env=environment, capture_output=True, text=True, timeout=within_s, check=False
    )


def test_the_tutorial_begins_with_the_shop_and_ends_with_it() -> None:
    assert [*STEPS[:3], STEPS[-1]] == [START, *HERE, STOP]
    assert GATE in STEPS
    assert len(ASKED) > 5


@pytest.mark.parametrize("part", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_what_it_shows_of_profile_and_scenarios_stands_in_them(part: str) -> None:
    files = [EXAMPLE / "profiles" / "staging.yml", *(EXAMPLE / "scenarios").glob("*.yml")]
    lines = {line.strip() for file in files for line in file.read_text().splitlines()}
    assert not [line for line in part.splitlines() if line.strip() not in lines]


@pytest.mark.staging
@pytest.mark.timeout(180)
def test_the_first_step_starts_the_shop_and_the_last_one_stops_it() -> None:
    if why := demo().missing():
        pytest.skip(f"{why} (make test-staging)")
    with folder() as at:
        started = shell(f"{START} SHOP={at / 'shop'}", ROOT)
        try:
            assert started.returncode == 0, started.stdout + started.stderr
            again = shell(f"{START} SHOP={at / 'shop'}", ROOT)
            assert again.returncode != 0
            assert "the shop runs already" in again.stderr
        finally:
            stopped = shell(f"{STOP} SHOP={at / 'shop'}", ROOT)
        assert stopped.returncode == 0, stopped.stdout + stopped.stderr
        assert not demo().running(at / "shop")


@pytest.mark.staging
@pytest.mark.timeout(180)
@pytest.mark.parametrize("step", ASKED)
def test_a_step_of_the_tutorial_succeeds_as_printed(shop: Shop, step: str) -> None:
    done = shell(step, shop.folder, shop)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.staging
@pytest.mark.timeout(900)
def test_its_gate_plays_all_eight_drills(shop: Shop) -> None:
    done = shell(f"{GATE} SHOP={shop.folder}", ROOT, shop, within_s=800)
    assert done.returncode == 0, done.stdout + done.stderr
    played = {file.stem for file in (EXAMPLE / "scenarios").glob("*.yml")}
    assert {one for one in played if re.search(rf"^PASS  {one}, ", done.stdout, re.MULTILINE)} == played
    assert "release (exit 0)" in done.stdout
    cases = ElementTree.parse(shop.folder / "gate.xml").findall(".//testcase")
    assert {one.get("name") for one in cases} >= played
    assert sum(float(one.get("time", 0)) for one in cases) > 8 * 20
