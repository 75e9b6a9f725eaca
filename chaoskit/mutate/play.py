"""A mutant played for real: its file in a folder of its own, judged by the promise as it is.

The one idea: that is what happens after a merge. The configuration is the mutant's, promise and scenario are not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from chaoskit.alerting.config import ConfigFiles
from chaoskit.files import write_private
from chaoskit.mutate.model import Mutant, applied
from chaoskit.mutate.source import file_of, mutated
from chaoskit.mutate.static import Outcome
from chaoskit.verify.verdict import Result, Verdict


def lay_out(files: Mapping[tuple[str, str], str], given: Collection[str], mutant: Mutant, folder: Path) -> ConfigFiles:
    """The configuration with the mutant in it: its file anew in `folder`, the others where they are."""
    new = folder / Path(mutant.file).name
    write_private(new, applied(files[mutant.role, mutant.file], mutant.edits).encode())
    named: dict[str, list[str]] = {}
    for role, file in dict.fromkeys((key.partition(":")[0], file_of(key)) for key in mutated(files, given, mutant)):
        named.setdefault(role, []).append(str(new) if (role, file) == (mutant.role, mutant.file) else file)
    single = {role: Path(named[role][0]) for role in ("alertmanager", "prometheus", "promise") if role in named}
    return ConfigFiles(rules=tuple(named.get("rules", ())), templates=tuple(named.get("template", ())), **single)


def played(mutant: Mutant, verdict: Verdict, *, interrupted: bool = False) -> Outcome:
    """The run's answer for the mutant: killed, at the hop of the first row that failed, survived, or unknown."""
    if interrupted:
        return Outcome(mutant, "unknown", verdict.scenario, "", "the run was interrupted")
    if verdict.result is Result.PASS:
        return Outcome(mutant, "survived", verdict.scenario, "", "every row passed")
    row = next((each for each in verdict.rows if each.result is verdict.result), None)
    status = "killed" if verdict.result is Result.FAIL else "unknown"
    hop, reason = (str(row.hop), f"{row.about} {row.to}".strip() + f": {row.reason}") if row is not None else ("", "")
    return Outcome(mutant, status, verdict.scenario, hop, reason)
