"""Asking promtool, as a child that ends with us."""

from __future__ import annotations

import subprocess
from pathlib import Path

from chaoskit.errors import EquipmentError
from chaoskit.host.process import tied
from chaoskit.stack.monitoring import contained_environment

UNENDED = 124


def ask(promtool: Path, *words: str | Path, within_s: float) -> tuple[int, str]:
    """How it ended (UNENDED where it did not in so many seconds) and all it said.

    Raises EquipmentError where it does not run.
    """
    try:
        run = subprocess.run(
            tied([promtool, *words]),
            capture_output=True,
            text=True,
            timeout=within_s,
            env=contained_environment(),
            check=False,
            start_new_session=True,  # a Ctrl-C is ours to hear
        )
    except OSError as error:
        raise EquipmentError("promtool", str(error)) from None
    except subprocess.TimeoutExpired:
        return UNENDED, f"promtool did not end within {within_s:g} s"
    return run.returncode, run.stdout + run.stderr
