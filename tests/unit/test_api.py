"""`chaoskit.api` is the public library: its names, its page with an example each, and nothing that loads by itself."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import chaoskit
from chaoskit import api
from chaoskit.events import AnyEvent

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
RECORDED = ROOT / "tests" / "golden" / "kept.jsonl"


def test_importing_chaoskit_loads_the_version_and_nothing_else() -> None:
    said = (
        "import sys; before = set(sys.modules); import chaoskit; "
        "print(*(set(sys.modules) - before), *(name for name in vars(chaoskit) if name[0] != '_'))"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["chaoskit"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", chaoskit.__version__)


def subpackages() -> set[str]:
    """Every package and module directly below chaoskit."""
    return {found.name for found in pkgutil.iter_modules(chaoskit.__path__)}


def test_no_public_name_is_a_package_s() -> None:
    """`from chaoskit import run` can only be the package."""
    assert set(api.__all__) & subpackages() == set()


def test_the_page_names_all_that_is_public_and_nothing_else() -> None:
    named = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))
    fields = {"problems", "header", "events", "of", "t", "PASS", "FAIL", "UNKNOWN"}
    assert named - fields == set(api.__all__)


def test_whatever_the_module_defines_is_listed_and_every_event_is_there() -> None:
    own = {name for name, one in vars(api).items() if getattr(one, "__module__", "") == api.__name__}
    assert {name for name in own if not name.startswith("_")} <= set(api.__all__)
    assert {one.__name__ for one in get_args(AnyEvent)} <= set(api.__all__)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: re.findall(r"import .*?(\w+)\n", text)[-1])
def test_the_page_s_examples_run(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run takes many seconds, so `play` is given the verdict on a recorded one here; a drill plays it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    (tmp_path / "runs" / "latest" / "events.jsonl").write_bytes(RECORDED.read_bytes())
    monkeypatch.setattr(api, "play", lambda *_, **__: api.judge(RECORDED))
    exec(compile(example, "docs/library.md", "exec"), {})
    assert "chaoskit.api" in example
    assert capsys.readouterr().out or "assert" in example


def test_play_says_why_there_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(api.CannotRun, match="no scenario is called 'nonsense'"):
        api.play("nonsense", out=tmp_path)


def test_a_verdict_of_an_earlier_run_is_not_taken_for_this_one_s(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    (tmp_path / "latest").symlink_to("before")
    (tmp_path / "before" / "verdict.json").write_text("{}")
    with pytest.raises(api.CannotRun):
        api.play("nonsense", out=tmp_path)
