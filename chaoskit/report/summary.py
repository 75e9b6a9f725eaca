"""A run as Markdown, for a job's summary or a comment: verdict and causes, from fault to phone; every row folded."""

from __future__ import annotations

from chaoskit.errors import ExitCode
from chaoskit.markdown import document, folded, plain, table
from chaoskit.report.changes import compared
from chaoskit.report.html_causes import Cause, causes
from chaoskit.report.text import FIGURES, allowed, in_words, margin, shown, ways
from chaoskit.verify.verdict import Result, Verdict


def to_markdown(verdict: Verdict, before: Verdict | None = None) -> str:
    """The verdict as Markdown; `before` is an earlier verdict that it is compared with."""
    head = [
        f"## {verdict.result}: {plain(verdict.scenario)}",
        "",
        f"{plain(verdict.title)} (exit {verdict.exit_code})",
        "",
    ]
    if verdict.exit_code == ExitCode.NOT_HEALED:
        head += ["**NOT HEALED**: something may still be broken. Run `chaoskit heal --all` there.", ""]
    parts = [_cause(one) for one in causes(verdict.rows)]
    figures = [(plain(one.about), plain(one.to), *ways(one)) for one in verdict.figures]
    parts.append(["", *table(FIGURES, figures)])
    if before is not None:
        rows = [(one.direction, *map(plain, (one.what, one.old, one.new))) for one in compared(before, verdict)]
        parts.append(
            folded(
                f"what changed since {plain(before.run_id)}",
                table(("", "what", "before", "now"), rows) or ["nothing", ""],
            )
        )
    rows_ = [
        (
            "" if row.result is Result.PASS else f"**{row.result}**",
            plain(row.about),
            row.hop,
            plain(row.to),
            plain(shown(row)),
            allowed(row.allowed),
            margin(row),
        )
        for row in verdict.rows
    ]
    columns_ = ("", "promise", "hop", "to", "observed", "allowed", "margin")
    parts.append(folded(f"all {len(rows_)} rows, in virtual seconds", table(columns_, rows_)))
    parts.append(folded("notes", [f"- {plain(in_words(note))}" for note in verdict.notes]))
    return document(head, parts)


def _cause(one: Cause) -> list[str]:
    lines = [f"- **{one.result}** {plain(one.head)}"]
    lines += [f"  - {plain(row.who)}{f': {plain(row.what)}' if row.what else ''}" for row in one.rows]
    lines += [f"  - and {one.more} more"] if one.more else []
    return lines + ([f"  - governed by {plain(one.governed)}"] if one.governed else [])
