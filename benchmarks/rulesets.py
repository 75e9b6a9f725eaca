"""How published rule sets fare in a rehearsal: `python -m benchmarks.rulesets FOLDER [--only NAME] [--derive]`.

FOLDER holds collections; a collection is a folder of rule files (each a set) or of folders (each a set, without test
files). For every set: how many alerting rules were read, how many were rehearsed, how many were not and why, how many
FAILed and why; what happened besides (a finding, such as a second notice) counts as well. `--derive` stops after
promtool has confirmed the series, which takes a tenth of the time. `--join N` plays sets of a collection together, up
to N rules at once, for a stack takes 9 s to start. A row of the table at the end: collection, sets, read, rehearsed,
not rehearsed, FAIL, UNKNOWN.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import click

from benchmarks.rehearse_many import ALERTMANAGER
from chaoskit.alerting.config import load_config
from chaoskit.errors import ChaoskitError
from chaoskit.rehearse.derive import recording_rules
from chaoskit.rehearse.inputs import ASSUMED, Asked
from chaoskit.rehearse.outcome import NO_END, Rehearsed
from chaoskit.rehearse.proof import Engine, prove
from chaoskit.rehearse.session import Session
from chaoskit.stack.binaries import require
from chaoskit.verify.verdict import Result

INTERVAL_S = 15.0
_ALERT = re.compile(r"(?m)^\s*-?\s*\"?alert\"?:")
_NUMBERS = re.compile(r"'[^']*'|\d+(\.\d+)?|[a-z_:]+_[a-z0-9_:]+")


@dataclass
class Tally:
    """What came of one set."""

    name: str
    read: int = 0
    rehearsed: int = 0
    far: int = 0
    """Of those with a past that is written; `endless` are those of them whose end is not played."""
    endless: int = 0
    took_s: float = 0.0
    refused: str = ""
    not_rehearsed: list[tuple[str, str, str]] = field(default_factory=list)
    """Place and name of a rule, its expression, and the reason."""
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    unknown: list[tuple[str, str, str]] = field(default_factory=list)

    def played(self, found: Rehearsed) -> None:
        """Counts what came of a rehearsal, its findings too."""
        by_result = {Result.FAIL: self.failed, Result.UNKNOWN: self.unknown}
        for one in found.outcomes:
            row = (f"{one.rule.place} {one.rule.alert}", one.rule.expr, "; ".join(one.reasons))
            if one.result is None:
                self.not_rehearsed.append(row)
                continue
            self.rehearsed += 1
            self.far += bool(one.how)
            self.endless += NO_END in one.how
            if one.result in by_result:
                by_result[one.result].append(row)
        for finding in found.findings:
            if finding.result in by_result:
                by_result[finding.result].append((f"besides: {finding.about}", "", finding.reason))


def sets(folder: Path) -> dict[str, list[Path]]:
    """The sets below a folder of collections, each with its rule files."""
    found: dict[str, list[Path]] = {}
    for collection in sorted(p for p in folder.iterdir() if p.is_dir()):
        for part in sorted(collection.iterdir()):
            files = [part] if part.is_file() else sorted(part.rglob("*.y*ml"))
            rules = [f for f in files if f.suffix in (".yml", ".yaml") and not f.stem.endswith("_test")]
            if any(_ALERT.search(f.read_text(encoding="utf-8")) for f in rules):
                found[f"{collection.name}/{part.name}"] = rules
    return found


def joined(found: dict[str, list[Path]], most: int) -> dict[str, list[Path]]:
    """The same files in fewer sets, each named by its first and last: of one collection, up to so many rules."""
    groups: list[tuple[list[str], list[Path], int]] = []
    for name, files in found.items():
        rules = sum(len(_ALERT.findall(f.read_text(encoding="utf-8"))) for f in files)
        alike = groups and groups[-1][0][0].partition("/")[0] == name.partition("/")[0]
        if alike and groups[-1][2] + rules <= most:
            names, before, number = groups.pop()
            groups.append(([*names, name], [*before, *files], number + rules))
        else:
            groups.append(([name], files, rules))
    return {" to ".join(dict.fromkeys((names[0], names[-1]))): files for names, files, _ in groups}


def tried(name: str, files: list[Path], derive_only: bool, jobs: int | None, keep: Path | None = None) -> Tally:
    """One set read, and rehearsed or derived; what was played stays below `keep`."""
    tally = Tally(name)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rulesets-") as scratch:
        folder = Path(scratch)
        (folder / "am.yml").write_text(ALERTMANAGER, encoding="utf-8")
        (folder / "prometheus.yml").write_text(ASSUMED, encoding="utf-8")
        try:
            config = load_config(None, [str(f) for f in files], folder / "am.yml", folder / "prometheus.yml")
            tally.read = sum(1 for rule in config.rules if rule.alert)
            out = keep / name.replace("/", "-") if keep else folder / "run"
            session = Session(Asked(config, INTERVAL_S, out, False, side_by_side=jobs), require(), _nothing)
            if derive_only:
                subjects, without = session._subjects({})
                records = recording_rules(config.rules)
                proven, unproven = prove(subjects, Engine(records, require().promtool, folder / "proof", INTERVAL_S))
                tally.rehearsed = len(proven)
                far = [one.far for one, _ in session.paced(proven) if one.far is not None]
                tally.far, tally.endless = len(far), sum(not each.ends for each in far)
                reasons = [(one.rule, one.reasons[0]) for one in without.values()]
                reasons += [(u.subject.rule, u.reason) for u in unproven]
                tally.not_rehearsed = [(f"{r.place} {r.alert}", r.expr, why) for r, why in reasons]
            else:
                found = session.rehearse()
                tally.played(found)
        except ChaoskitError as error:
            tally.refused = str(error).splitlines()[0]
        except Exception:
            tally.refused = f"TRACEBACK {traceback.format_exc().splitlines()[-1]}"
    tally.took_s = time.monotonic() - begun
    return tally


def _nothing(line: str) -> None:
    """Says nothing."""


def kind(reason: str) -> str:
    """A reason without what differs from rule to rule."""
    return _NUMBERS.sub("…", reason.splitlines()[0] if reason else "?")[:110]


def main() -> int:
    """Reads the options, tries every set, prints a line each and the reasons by number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append", help="sets whose name holds this, or one of these")
    parser.add_argument("--derive", action="store_true", help="stop where promtool has confirmed the series")
    parser.add_argument("--json", type=Path, help="write every row here")
    parser.add_argument("-j", type=int, dest="jobs", help="stacks side by side")
    parser.add_argument("--join", type=int, default=0, metavar="N", help="sets of a collection together, up to N rules")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the histories there")
    options = parser.parse_args()
    tallies = []
    chosen = {
        name: files for name, files in sets(options.folder).items() if any(one in name for one in options.only or [""])
    }
    for name, files in (joined(chosen, options.join) if options.join else chosen).items():
        tally = tried(name, files, options.derive, options.jobs, options.keep)
        tallies.append(tally)
        click.echo(
            f"{name}: {tally.read} read, {tally.rehearsed} rehearsed, {len(tally.failed)} FAIL, "
            f"{len(tally.unknown)} UNKNOWN, {tally.took_s:.0f} s {tally.refused}",
        )
    read, rehearsed = sum(t.read for t in tallies), sum(t.rehearsed for t in tallies)
    far, endless = sum(t.far for t in tallies), sum(t.endless for t in tallies)
    click.echo(f"with a past: {far}, of which without an end: {endless}")
    click.echo(f"{rehearsed} of {read} ({100 * rehearsed / max(1, read):.1f} %) in {len(tallies)} sets")
    for collection in dict.fromkeys(t.name.partition("/")[0] for t in tallies):
        own = [t for t in tallies if t.name.startswith(f"{collection}/")]
        numbers = [sum(t.read for t in own), sum(t.rehearsed for t in own)]
        numbers += [sum(len(getattr(t, kind_)) for t in own) for kind_ in ("not_rehearsed", "failed", "unknown")]
        click.echo(f"| {collection} | {len(own)} | " + " | ".join(map(str, numbers)) + " |")
    for title, rows in (
        ("not rehearsed", [r for t in tallies for r in t.not_rehearsed]),
        ("FAIL", [r for t in tallies for r in t.failed]),
        ("UNKNOWN", [r for t in tallies for r in t.unknown]),
    ):
        click.echo(f"{title}: {len(rows)}")
        for why, number in Counter(kind(row[2]) for row in rows).most_common(40):
            click.echo(f"  {number:4}  {why}")
    if options.json:
        options.json.write_text(json.dumps([vars(t) for t in tallies], indent=1), encoding="utf-8")
    return int(any(t.refused for t in tallies))


if __name__ == "__main__":
    sys.exit(main())
