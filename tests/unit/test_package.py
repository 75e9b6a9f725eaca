"""What is handed out: the wheel has all that a command reads and no tests; from the sdist everything can be made."""

from __future__ import annotations

import email
import importlib.metadata
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from trove_classifiers import classifiers

import chaoskit

ROOT = Path(chaoskit.__file__).parents[1]
DATA = ("bundle", "scenarios", "profiles")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str], email.message.Message]:
    """The names of files in the wheel and in the sdist (below its top), and the wheel's metadata."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        in_wheel = set(wheel.namelist())
        metadata = next(name for name in in_wheel if name.endswith(".dist-info/METADATA"))
        told = email.message_from_bytes(wheel.read(metadata))
    with tarfile.open(next(folder.glob("*.tar.gz"))) as sdist:
        in_sdist = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    return in_wheel, in_sdist, told


def tree(folder: str) -> set[str]:
    """Our files below a folder of the project, without what running them leaves behind."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_the_package_its_data_and_nothing_else(
    built: tuple[set[str], set[str], email.message.Message],
) -> None:
    shipped = {f"chaoskit/shipped/{name}" for kind in ("scenarios", "profiles") for name in tree(kind)}
    in_wheel = {name for name in built[0] if ".dist-info/" not in name}
    assert in_wheel == tree("chaoskit") | shipped
    assert {name.rpartition(".dist-info/")[2] for name in built[0] - in_wheel} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip
    for needed in ("chaoskit/py.typed", "chaoskit/bundle/templates/email.tmpl", "chaoskit/bundle/alertmanager.yml"):
        assert needed in in_wheel


def test_the_sdist_holds_what_it_takes_to_build_test_and_read_it(
    built: tuple[set[str], set[str], email.message.Message],
) -> None:
    whole = {name for folder in ("chaoskit", "tests", "benchmarks", "scripts", "docs") for name in tree(folder)}
    whole |= {
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Makefile",
        "pyproject.toml",
        "requirements.lock",
    }
    assert whole | tree("scenarios") | tree("profiles") <= built[1]
    assert {
        name for name in built[1] if name.startswith((".venv", ".git/", ".mypy", ".hypothesis", "chaoskit-runs"))
    } == set()


def test_the_package_says_who_made_it_under_which_licence_and_where(
    built: tuple[set[str], set[str], email.message.Message],
) -> None:
    told = built[2]
    assert (told["Author"], told["License-Expression"]) == ("chaoskit developers", "Apache-2.0")
    assert set(told.get_all("Classifier", [])) <= classifiers
    assert {line.partition(",")[0] for line in told.get_all("Project-URL", [])} >= {"Homepage", "Changelog", "Issues"}
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert "END OF TERMS AND CONDITIONS" in (ROOT / "LICENSE").read_text()


def test_the_version_is_written_in_one_place(built: tuple[set[str], set[str], email.message.Message]) -> None:
    assert built[2]["Version"] == chaoskit.__version__ == importlib.metadata.version("chaoskit")
    assert not re.search(rf'"{re.escape(chaoskit.__version__)}"', (ROOT / "pyproject.toml").read_text())
