"""Nothing here needs more than Python 3.11.0, which few machines have, so that running the tests would not tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.later_python import ROOT, backported, later_minor, sources
from tests.unit.test_extending import CODE

TAR = "import tarfile\nwith tarfile.open('x') as tar:\n    "


def test_nothing_of_a_later_3_11_is_used() -> None:
    assert [line for path in sources() for line in backported(path.read_text(), str(path.relative_to(ROOT)))] == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (TAR + "tar.extractall('y', filter='data')", "code:3: extractall(filter=) needs Python 3.11.4"),
        (TAR + "tar.extraction_filter = None", "code:3: .extraction_filter needs Python 3.11.4"),
        ("import tarfile as t\nt.data_filter", "code:2: tarfile.data_filter needs Python 3.11.4"),
        ("from tarfile import data_filter as d", "code:1: tarfile.data_filter needs Python 3.11.4"),
        ("from shutil import unpack_archive\nunpack_archive('x', filter='tar')", "unpack_archive(filter=)"),
        ("from email.utils import parseaddr as p\np('x', strict=False)", "parseaddr(strict=)"),
        ("import email.errors\nraise email.errors.HeaderWriteError", "code:2: email.errors.HeaderWriteError"),
        ("from pyexpat import ParserCreate\nParserCreate().SetReparseDeferralEnabled(True)", "needs Python 3.11.9"),
    ],
)
def test_each_way_to_use_what_came_with_a_later_3_11_is_found(code: str, said: str) -> None:
    assert len(backported(code)) == 1
    assert said in backported(code)[0]


@pytest.mark.parametrize("code", [TAR + "tar.extractall('y')", "import datetime\ndatetime.UTC", "sorted(filter=1)"])
def test_what_3_11_0_has_is_left_alone(code: str) -> None:
    assert backported(code) == []


def test_nothing_of_a_later_python_is_used_and_a_planted_use_is_told(tmp_path: Path) -> None:
    """In chaoskit itself mypy says so already, as the settings name 3.11; the other folders are asked here.

    With them what docs/extending.md shows: it goes into these folders.
    """
    planted = tmp_path / "planted.py"
    planted.write_text(
        "import os, datetime, tempfile\nfrom itertools import batched\nfrom pathlib import Path\n\n"
        "def test_it(path: Path):\n"
        "    path.walk()\n"
        "    path.relative_to('x', walk_up=True)\n"
        "    tempfile.NamedTemporaryFile(delete_on_close=False)\n"
        "    os.process_cpu_count()\n"
        "    import compression.zstd\n"
        "    print(datetime.UTC, batched)\n"
    )
    others = [path for path in sources() if path.relative_to(ROOT).parts[0] != "chaoskit"]
    for number, code in enumerate(CODE):
        (tmp_path / f"shown_{number}.py").write_text(code)
    said = later_minor([*others, planted, *tmp_path.glob("shown_*.py")])
    assert [line for line in said if "planted.py" not in line] == []
    lines = [line.partition("planted.py:")[2].partition(":")[0] for line in said]
    assert list(dict.fromkeys(lines)) == ["2", "6", "7", "8", "9", "10"]
