"""The pages whose commands play a stack, from top to bottom as printed, in a process of their own each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs_commands import RUN, SLOW, lay_out
from tests.drills.test_readme import shell

pytestmark = [pytest.mark.stack, pytest.mark.drill, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize("page", [page for page, commands in RUN.items() if {*SLOW} & commands.keys()])
def test_the_commands_of_a_page_end_as_it_says(page: str, tmp_path: Path) -> None:
    lay_out(tmp_path)
    for command, code in RUN[page].items():
        done = shell(command, tmp_path, 170)
        assert done.returncode == code, f"{command}: {done.stdout}{done.stderr}"
