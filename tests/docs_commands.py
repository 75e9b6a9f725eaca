"""What the pages of docs/ print as commands, and how each is proved to be true.

A command that is printed and stands in none of the tables fails a test, as does one of a table that is not printed.
One whose words in capitals or dots stand for the reader's own is a form: that its command and options exist is tested
for every page.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from chaoskit import bundle
from chaoskit.sla.store import open_store
from tests import readme_commands
from tests.sla_examples import at, minutes_from, time_slices

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PROGRAM = re.compile(r"(?:\S*/)?(?:chaoskit|python3?|pytest|make|pip|amtool|sed|docker) +\S")
_FORM = re.compile(r"\b[A-Z_]{2,}\b(?!=)|…|\[-|\[\w+=")
_TARGETS = "chaoskit: 1\nprometheus: http://127.0.0.1:9\nlevels: {uptime: {up: up, at_least: 99.9 %}}\n"
_REHEARSE = "chaoskit rehearse rules.yml --alertmanager alertmanager.yml"
_LED = ("--token-file /etc/alertmanager/witness-token", "--recorder /var/lib/alertmanager/events.jsonl")
_FILES = "--rules rules.yml --alertmanager alertmanager.yml"

# Run as printed in the order of the page, in a folder with README's files, with the exit code that is right.
RUN: dict[str, dict[str, int]] = {
    "alert-bundle.md": {"chaoskit bundle render --help": 0},
    "checks.md": {
        "chaoskit check --rules 'rules/**/*.yml'": 0,
        "chaoskit check --alertmanager alertmanager.yml": 0,
    },
    "explain-and-diff.md": {
        "chaoskit explain WorkerUnhealthy --at 'Sat 03:00' --zone Europe/Berlin": 0,
        "chaoskit explain --silence 'severity=warning,team=db'": 0,
        "chaoskit diff old.yml new.yml --rules 'rules/*.yml'": 0,
    },
    "faults.md": {"chaoskit list --faults": 0},
    "how-it-judges.md": {"chaoskit list --checks": 0},
    "gate.md": {"chaoskit gate --dry-run": 0, "chaoskit gate --dry-run -k worker": 0},
    "mutate.md": {"chaoskit mutate --list --alert WorkerUnhealthy": 0, "chaoskit mutate --show 3067aca05c": 0},
    "promise.md": {"chaoskit promise write --rules 'rules/*.yml' --alertmanager alertmanager.yml --out promise.yml": 0},
    "safety.md": {"chaoskit runs prune --keep 50": 0, "chaoskit heal --all": 0},
    "scenarios.md": {
        "chaoskit new --alert WorkerUnhealthy": 0,
        "chaoskit new --alert DiskSpaceLow --bundle alerts/ --out disk.yml": 0,
        "chaoskit schema scenario > scenario.schema.json": 0,
        "chaoskit schema profile > profile.schema.json": 0,
        "chaoskit schema promise > promise.schema.json": 0,
        "chaoskit list --handles": 0,
    },
    "service-levels.md": {
        "chaoskit sla report --month 2026-10": 0,
        "chaoskit sla status": 0,
        "chaoskit sla report --month 2026-10 --zone Europe/Berlin": 0,
        "chaoskit sla report --quarter 2026-Q4 --csv q4.csv": 0,
        "chaoskit sla report --rolling 28d --format json": 0,
        "chaoskit sla report --from 2026-11-10T10:00 --to 2026-11-10T12:00": 0,
        "chaoskit sla report --month 2026-10 --gate": 0,
        "chaoskit sla report --month 2026-10 --html october.html": 0,
        "chaoskit sla cost": 0,
        "chaoskit sla cost --bad 95% --repair 15m": 0,
        "chaoskit sla incidents --month 2026-10": 0,
        'chaoskit sla plan add --from 2026-11-10T10:00 --to 2026-11-10T11:00 --reason "database upgrade"': 0,
        "chaoskit sla plan list": 0,
        "chaoskit sla plan revoke 1": 0,
        "chaoskit sla prune --keep 36": 0,
    },
    "tutorial-game-day.md": {
        "chaoskit list": 0,
        "chaoskit plan worker-unhealthy": 0,
        "chaoskit run worker-unhealthy": 0,
        "chaoskit bundle render --out mine": 0,
        "sed -i 's/group_wait: 10s/group_wait: 60s/' mine/alertmanager.yml": 0,
        "chaoskit check --bundle mine": 1,
        "chaoskit run worker-unhealthy --bundle mine": 1,
        "chaoskit verify latest --html game-day.html": 1,
        "chaoskit new --alert HighErrorRate --out mine.yml": 0,
        "chaoskit plan mine.yml": 0,
    },
    "tutorial-rules.md": {
        f"chaoskit check {_FILES}": 0,
        f"chaoskit explain {_FILES} ShopDown": 0,
        _REHEARSE: 0,
        f"chaoskit promise write {_FILES} --out promise.yml": 0,
        'sed -i \'s/severity="critical"/severity=~"crit"/\' alertmanager.yml': 0,
        f"chaoskit check {_FILES} --promise promise.yml": 1,
        f"{_REHEARSE} --promise promise.yml": 1,
    },
    "witness.md": {f"chaoskit witness config --alertmanager alertmanager.yml {one}": 0 for one in _LED},
}
# Gates of the page that are planned with the words that it prints, and --dry-run.
PLANNED = r"chaoskit gate (-[mk]|--(budget|shard)) .*"
# These play a stack, or look at one's history: tests/drills/test_docs.py runs their pages from top to bottom.
SLOW = (
    "chaoskit run worker-unhealthy",
    "chaoskit check --bundle mine",
    "chaoskit run worker-unhealthy --bundle mine",
    "chaoskit verify latest --html game-day.html",
    _REHEARSE,
    f"{_REHEARSE} --promise promise.yml",
)
# Pages whose every step another test runs as printed.
WHOLE = {"tutorial-staging.md": "tests/staging/test_tutorial.py"}
# Why a command of these is not run as printed, by pattern.
ELSEWHERE = {
    r"(\.venv/bin/)?python -m benchmarks\..*": (
        "measures for minutes to hours; that it starts, and its parts: tests/unit/test_benchmarks.py"
    ),
    r"(python -m )?pip install .*|make .*|pytest .*": "needs a network, or is the test suite itself",
    r"python -m chaoskit\.\w+\.docs.*": "tests compare each generated page with its registry",
    "amtool check-config.*": "amtool's own; chaoskit check runs it on the same file",
    r"chaoskit gate(?! --dry-run).*": (
        "plays for minutes; test_docs_commands.py plans some, tests/unit/test_gate_*.py compare and merge"
    ),
    r"chaoskit (run|doctor) .*--(profile|confirm) staging.*": "needs a system that runs: tests/drills/test_attach.py",
    r"chaoskit attach .*": "needs a system that runs: tests/unit/test_attach_first_profile.py",
    r"chaoskit load-worker.*": "needs a run that waits for it: tests/unit/test_load_workers.py",
    r"chaoskit witness serve .*": "serves until it is ended: tests/unit/test_witness_cli.py, test_witness_docs.py",
    r"chaoskit (run worker-unhealthy --ui|ui)": "tests/drills/test_console.py plays drills from its page",
    r"chaoskit (verify|run) .*--compare .*": "compares with a run of the reader's: tests/unit/test_compare.py",
    r"chaoskit run worker-unhealthy --set .*": "test_docs_commands.py plans a drill with the same words",
    r"chaoskit rehearse rules/.*": "the same with more files; a given scenario: tests/drills/test_rehearse.py",
    r"chaoskit rehearse .* --changed-since main .*": "needs a repository: tests/unit/test_rehearse_given.py",
    r"chaoskit mutate.*": "takes all cores for minutes, or a drill: tests/unit/test_mutate_*.py",
    r"chaoskit approve.*": "tests/unit/test_approve.py writes, shows and updates approved texts",
    r"chaoskit sla (init|record|incidents|(serve-)?metrics).*": "asks a server, or is one: tests/unit/test_sla_*.py",
    r"chaoskit sla (check|plan import) ?.*": "takes a minute, or a run: tests/unit/test_sla_*.py",
    r"chaoskit (bundle render --out deploy|run .*--bundle deploy).*": "tests/drills/test_readme.py plays that page",
    "chaoskit check": "tests/unit/test_readme.py runs it, from README",
}


def commands(page: str) -> list[str]:
    """Every command that the page prints in a line of its own, or within a sentence with an argument, in order."""
    text = re.sub(r"\\\n\s*", "", PAGES[page])
    blocks = "".join(body for language, body in _FENCE.findall(text) if language in ("sh", "console"))
    prose = _FENCE.sub("", text)
    lines = [*re.findall(r"^    (\S.*)$", prose, re.MULTILINE), *blocks.splitlines()]
    inline = [one for one in re.findall(r"`([^`\n]+)`", prose) if not _is_name(one)]
    found = (re.split(r"\s{2,}|\s+#|\s&$", one.strip())[0] for one in [*lines, *inline])
    return list(dict.fromkeys(one for one in found if _PROGRAM.match(one) and not _FORM.search(one)))


def _is_name(command: str) -> bool:
    """Whether it only names a command: no option, file or number among its words."""
    return bool(re.fullmatch(r"chaoskit( [a-z]+){1,2}", command))


def words(command: str) -> list[str]:
    """The words of a command after its program, without a redirection, with a pattern that is not quoted filled in."""
    found: list[str] = []
    for word in shlex.split(command.partition(" >")[0])[1:]:
        files = sorted(map(str, Path().glob(word))) if "*" in word and f"'{word}'" not in command else []
        found += files or [word]
    return found


def lay_out(folder: Path, page: str = "") -> None:
    """README's files, and what the pages take for granted: folders of rules and alerts, an older and a newer file.

    For the page on service levels also targets, and the evidence of six weeks.
    """
    readme_commands.lay_out(folder)
    if page == "service-levels.md":
        (folder / "sla").mkdir()
        (folder / "sla" / "targets.yml").write_text(_TARGETS)
        with open_store(str(folder / "sla" / "levels.db")) as store:
            down = [minutes_from("2026-10-10T10:00", 40)]
            store.write("live", time_slices(at("2026-10-01T00:00"), at("2026-11-12T00:00"), down))
    (folder / "rules").mkdir()
    shutil.copy(folder / "rules.yml", folder / "rules")
    shutil.copytree(bundle.folder(), folder / "alerts")
    for name in ("old.yml", "new.yml"):
        shutil.copy(folder / "alertmanager.yml", folder / name)
