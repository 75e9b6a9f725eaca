"""What README prints: its files, its commands, and how each command is proved to be true.

A command that is printed and stands in none of the tables below fails a test, as does one of a table that is not
printed. So README can say nothing that is run nowhere, but for what has its reason here.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from chaoskit import bundle

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")

# Run as printed in `make test`, in this order, with the exit code that is right.
QUICK = {
    "chaoskit plan worker-unhealthy": 0,
    "chaoskit check": 0,
    "chaoskit explain WorkerUnhealthy": 0,
    "chaoskit diff old new": 0,
    "chaoskit list": 0,
    "chaoskit new --alert DiskSpaceLow --out disk.yml": 0,
    "chaoskit promise write": 0,
    "chaoskit promise write --rules rules.yml --alertmanager alertmanager.yml --out promise.yml": 0,
    "chaoskit schema scenario": 0,
    "chaoskit status": 0,
    "chaoskit heal --all": 0,
    "chaoskit stop": 0,
    "chaoskit unlock": 0,
    "chaoskit runs prune --keep 50": 0,
    "chaoskit inject --help": 0,
    "chaoskit doctor": 0,
    "chaoskit doctor --profile local": 0,
    "chaoskit witness config --help": 0,
    "chaoskit load-worker --help": 0,
    "chaoskit attach --help": 0,
    "chaoskit bundle render --out deploy": 0,
}
# Play a stack, or install: tests/drills/test_readme.py.
LONG = (
    "chaoskit rehearse rules.yml --alertmanager alertmanager.yml",
    "chaoskit run worker-unhealthy",
    "chaoskit verify latest",
    "chaoskit up",
    "python3 -m venv ~/chaoskit",
    "~/chaoskit/bin/pip install .",
    "~/chaoskit/bin/chaoskit doctor --install",
)
# The story at its top, played by the same tests: what was promised before the route was changed, and the drill after.
STORY = (
    "chaoskit promise write --rules rules.yml --alertmanager alertmanager.yml --out promise.yml",
    "chaoskit rehearse rules.yml --alertmanager alertmanager.yml --promise promise.yml",
)
ELSEWHERE = {
    "make game-day": "sets up a clone: make fresh-machine runs it as printed; the drill that it plays is in LONG",
    "make test": "is what runs this",
    "make test-long": "is what runs the long part of this",
    "chaoskit run worker-unhealthy --profile staging --confirm staging": (
        "needs a profile of a system that runs already: tests/drills/test_attach.py makes both"
    ),
    "chaoskit run worker-unhealthy --ui": "tests/drills/test_console.py plays it, and asks its page",
    "chaoskit approve": "writes beside the shipped files: tests/unit/test_approve.py",
    "chaoskit mutate": "takes all cores for minutes: tests/unit/test_mutate_static.py",
    "chaoskit ui": "tests/drills/test_console.py plays drills from its page",
    "chaoskit gate": "minutes of all scenarios: `make gate`, and tests/drills/test_gate.py plays some",
    "chaoskit run worker-unhealthy --time-scale 1 --set limits.fault=10m --set limits.run=30m": (
        "13 minutes in real time: planned here with the same words"
    ),
    ". .venv/bin/activate": "is the venv module's",
    "chaoskit sla report --month 2026-10": "needs a month of evidence: tests/unit/test_sla_cli.py reports from one",
}


def files() -> dict[str, str]:
    """The files that README shows, by the name in their first line."""
    shown: list[str] = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    return {text.partition("\n")[0].removeprefix("# "): text for text in shown}


def commands() -> set[str]:
    """Every command that README prints, in a line of its own or within a sentence, without a trailing remark."""
    indented = re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL), re.MULTILINE)
    inline = re.findall(r"`((?:chaoskit|make|\.|python3|~/\S+) [^`\n]+)`", TEXT)
    sentence = re.findall(r"`(make test-long)\b|\((make test-long):", "\n".join(indented))
    found = {re.split(r"\s+#", line)[0].strip() for line in [*indented, *inline]}
    return found | {"".join(each) for each in sentence}


def lay_out(folder: Path) -> None:
    """README's files in a folder, and two configurations to compare."""
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")
    for name in ("old", "new"):
        shutil.copytree(bundle.folder(), folder / name)
