"""`chaoskit sla`: service levels, from their targets to reports and prices; the work itself is in chaoskit.sla."""

from __future__ import annotations

import getpass
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from chaoskit import bundle, json_text
from chaoskit.access import session_at
from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import AlertConfig
from chaoskit.bundle.render import render
from chaoskit.check.findings import LINTS, Severity
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.check.service_levels import Level as Watched
from chaoskit.check.service_levels import watches
from chaoskit.cli.check import known_metrics, print_findings
from chaoskit.cli.console import Commands, console, print_as, say
from chaoskit.cli.numbers import seconds_of, share
from chaoskit.cli.outputs import OUT, ResultFile, form
from chaoskit.cli.sources import FILE, config_options, readable, together, yours_option
from chaoskit.errors import BadInput, EquipmentError, ExitCode, Place, Problem
from chaoskit.files import write_named
from chaoskit.inputs import attempt
from chaoskit.report.judge_run import VERDICT
from chaoskit.scenario.catalog import find_profile, scenario_names
from chaoskit.scenario.model import Access, Scenario, Secret
from chaoskit.sla.model import SLICE_S, Window
from chaoskit.sla.targets import TARGETS as TARGETS_FILE
from chaoskit.sla.targets import Level, Targets, load_targets
from chaoskit.sla.windows import between, instant, month, month_of, months_of, quarter, rolling
from chaoskit.stack.original import checkers
from chaoskit.surroundings import leave
from chaoskit.verify.verdict import Verdict
from chaoskit.zones import zone_named

if TYPE_CHECKING:  # both are long to import, and most commands need no exporter, some no store
    from chaoskit.sla.export import Exporter
    from chaoskit.sla.store import Store

_KEPT_AT_LEAST = 13
BUDGET = "chaoskit_sla_budget_left_ratio"
TARGETS = together(
    "targets",
    lambda file: load_targets(file),
    click.option("--targets", "file", type=FILE, default=TARGETS_FILE, show_default=True, help="The targets."),
)
"""Adds --targets; the command's `targets` are what stands in that file."""
DB = click.option(
    "--db",
    default="sla/levels.db",
    show_default=True,
    metavar="FILE|URL",
    help="The store; postgresql://USER@HOST/NAME.",
)


def _opened(db: str) -> Store:
    from chaoskit.sla.store import open_store

    return click.get_current_context().with_resource(open_store(db, create=False))


STORE = together("store", _opened, DB)
"""Adds --db; the command's `store` is there already, and open until the command ends."""
ENVIRONMENT = click.option("--environment", "environments", multiple=True, help="Only this environment; repeatable.")
ZONE = click.option("--zone", default="", help="Use this time zone, not the targets'.")


def _window_of(month_: str, quarter_: str, rolling_: str, from_: str, to: str, zone: str) -> Callable[..., Window]:
    def window_of(targets_zone: str, end: int) -> Window:
        """The one window that the options name, the month of `end` where they name none; raises BadInput."""
        there = zone or targets_zone
        if sum(map(bool, (month_, quarter_, rolling_, from_ or to))) > 1 or bool(from_) != bool(to):
            hint = "give one of --month, --quarter, --rolling, or --from and --to"
            raise BadInput(Problem(None, "which window is meant?", hint))
        zone_named(there)
        if month_:
            return month(month_, there)
        if quarter_:
            return quarter(quarter_, there)
        if rolling_:
            return rolling(rolling_, end, there)
        return between(from_, to, there) if from_ else month_of(end - 1, there)

    return window_of


windowed = together(
    "window_of",
    _window_of,
    click.option("--month", "month_", metavar="2026-10"),
    click.option("--quarter", "quarter_", metavar="2026-Q4"),
    click.option("--rolling", "rolling_", metavar="28d", help="The time up to the last settled slice."),
    click.option("--from", "from_", metavar="INSTANT", help="2026-10-01, or 2026-10-01T10:00 in the zone."),
    click.option("--to", "to", metavar="INSTANT"),
    ZONE,
)
"""Adds --month, --quarter, --rolling, --from, --to and --zone; the command's `window_of` is what they name."""


@click.group("sla", cls=Commands)
def sla_group() -> None:
    """Service levels: what was promised for a month or a quarter, and what came of it."""


@sla_group.command("init")
@click.option("--prometheus", metavar="URL", help="The Prometheus to query.")
@click.option("--profile", metavar="NAME", help="A profile with Prometheus's URL and credentials.")
@click.option("--write", type=click.Path(path_type=Path), default=TARGETS_FILE, show_default=True)
def init_command(prometheus: str | None, profile: str | None, write: Path) -> ExitCode:
    """Write a first file of targets, and look whether their series are there."""
    from chaoskit.sla.begin import write_targets

    if bool(prometheus) == bool(profile):
        raise BadInput(Problem(None, "which Prometheus is meant?", "give --prometheus URL or --profile NAME"))
    if profile:
        find_profile(profile)
    head = f"profile: {profile}" if profile else f"prometheus: {prometheus}"
    return write_targets(write, head, (bundle.folder() / "service_levels.yml").read_text(), say)


@sla_group.command("record")
@TARGETS
@DB
@click.option("--since", metavar="INSTANT", help="Fetch everything again since then; better evidence stays.")
@click.option("--check", is_flag=True, help="Also compare the last day with one-shot queries.")
def record_command(targets: Targets, db: str, since: str | None, check: bool) -> ExitCode:
    """Fetch the evidence that is missing, up to ten minutes ago.

    Exit codes: 0 all is recorded, 3 a source did not answer (the next run fetches that) or disagrees, 2 something in
    the targets cannot be recorded. The rest is recorded all the same.
    """
    from chaoskit.sla.record import record
    from chaoskit.sla.store import open_store

    since_at = None if since is None else instant(since, targets.zone) // SLICE_S * SLICE_S
    with open_store(db) as store:
        return record(store, targets, say=say, since=since_at, check=check)


@sla_group.command("report")
@TARGETS
@STORE
@windowed
@ENVIRONMENT
@click.option("--html", type=ResultFile(), help="Also write a page with days, incidents and outages to this file.")
@click.option("--csv", "csv_", type=ResultFile(), help="Also write the results to this CSV file.")
@form("text", "json")
@click.option("--gate", is_flag=True, help="Exit with 1 where a level was missed, with 3 where one is not known.")
def report_command(
    targets: Targets,
    store: Store,
    window_of: Callable[[str, int], Window],
    environments: tuple[str, ...],
    html: Path | None,
    csv_: Path | None,
    format_: str,
    gate: bool,
) -> ExitCode:
    """Show whether each level was met in a window, from the store alone.

    Both bases are shown: `contract` leaves planned time out, `all` counts it. --gate judges the contract.
    """
    from chaoskit.sla import known as heard
    from chaoskit.sla import report, stories
    from chaoskit.sla.compute import compliance, known, recorded_to
    from chaoskit.sla.page import page

    now = int(time.time())
    with store.remembering():
        end = recorded(recorded_to(store, environments))
        window = window_of(targets.zone, end)
        chosen = known(store, environments)
        results = compliance(store, targets, window, now=now, environments=chosen)
        months = months_of(window) if window.span == "quarter" else []
        parts = [one for each in months for one in compliance(store, targets, each, now=now, environments=chosen)]
        planned = [one for one in store.planned(None, window.starts_at, window.ends_at) if one.environment in chosen]
        store.write_results([*results, *parts], now)
        made = report.Report(window, results, parts, planned)
        if html is not None:
            alerts = heard.known(config_of(), scenarios=scenarios())
            reads = stories.read(store, targets, window, results)
            told = [stories.story_of(one, window, targets, alerts) for one in reads]
            leave(html, page(made, reads, told), named=True)
    if csv_ is not None:
        leave(csv_, report.to_csv([*results, *parts]).encode(), named=True)
    print_as(format_, {"text": report.view, "json": report.to_json}, made)
    return report.gate(results) if gate else ExitCode.PASS


@sla_group.command("status")
@TARGETS
@STORE
@ZONE
@ENVIRONMENT
def status_command(targets: Targets, store: Store, zone: str, environments: tuple[str, ...]) -> None:
    """Show the running month's remaining budgets, and when they are spent at the pace of the last 3 days."""
    from chaoskit.sla.compute import compliance, recorded_to
    from chaoskit.sla.report import status_view

    now, end = int(time.time()), recorded(recorded_to(store, environments))
    windows = month_of(end - 1, zone or targets.zone), rolling("3d", end, zone or targets.zone)
    judged = [compliance(store, targets, window, now=now, environments=environments) for window in windows]
    results, recent = ([one for one in each if one.basis == "contract"] for each in judged)
    console().print(status_view(results, recent, end))


@sla_group.command("prune")
@DB
@click.option("--keep", type=int, default=36, show_default=True, metavar="MONTHS", help="At least 13.")
@click.option("--dry-run", is_flag=True, help="Only count the rows to remove.")
def prune_command(db: str, keep: int, dry_run: bool) -> None:
    """Remove evidence older than so many months; results and planned windows stay."""
    from chaoskit.sla.store import open_store

    if keep < _KEPT_AT_LEAST:
        raise BadInput(Problem(None, f"--keep {keep}: the last 13 months are never removed", "write 13 or more"))
    before = month_of(int(time.time()), "UTC")
    for _ in range(keep):
        before = month_of(before.starts_at - 1, "UTC")
    with open_store(db, create=False) as store:
        count = store.prune(before.starts_at, dry_run=dry_run)
    say(f"{count} rows {'would go' if dry_run else 'removed'}: all before {before.name}")


@sla_group.group("plan", cls=Commands)
def plan_group() -> None:
    """Planned windows: time that the contract does not count."""


@plan_group.command("add")
@TARGETS
@DB
@click.option("--from", "from_", metavar="INSTANT", required=True, help="2026-10-01T10:00, in the targets' zone.")
@click.option("--to", "to", metavar="INSTANT", required=True)
@click.option("--reason", required=True)
@click.option("--by", default="", help="The person who declares the window; by default you.")
@click.option("--environment", default="", help="Needed where there are several.")
def add_command(targets: Targets, db: str, from_: str, to: str, reason: str, by: str, environment: str) -> None:
    """Declare a planned window: maintenance if it has not begun, else a correction."""
    from chaoskit.sla.compute import known
    from chaoskit.sla.planning import declared
    from chaoskit.sla.store import open_store

    starts_at, ends_at = (instant(text, targets.zone) for text in (from_, to))
    with open_store(db) as store:
        there = known(store, (environment,) if environment and store.environments() else ())
        environment = environment or (there[0] if len(there) == 1 else "" if there else targets.environment)
        if not environment:
            raise BadInput(Problem(None, "which environment is meant?", f"--environment {' or '.join(there)}"))
        one = declared(environment, starts_at, ends_at, reason, by or getpass.getuser(), int(time.time()))
        number = store.plan(one)
    say(f"{number}: {one.kind} of {environment}, {(ends_at - starts_at) / 60:g} min")


@plan_group.command("list")
@TARGETS
@STORE
@click.option("--revoked", is_flag=True, help="Show revoked windows too.")
def list_command(targets: Targets, store: Store, revoked: bool) -> None:
    """List the planned windows."""
    from chaoskit.sla.report import planned_view

    if found := store.planned(None, 0, 2**40, revoked=revoked):
        console().print(planned_view(found, targets.zone))
    else:
        say("no window was planned")


@plan_group.command("revoke")
@STORE
@click.argument("number", type=int)
def revoke_command(store: Store, number: int) -> None:
    """Take a planned window back; it stays in the store, and counts no longer."""
    if not store.revoke(number, int(time.time())):
        raise BadInput(Problem(None, f"no planned window {number} stands", "`chaoskit sla plan list` shows them"))
    say(f"{number}: revoked")


@plan_group.command("import")
@STORE
@OUT
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
def import_command(store: Store, out: Path, runs: tuple[str, ...]) -> None:
    """Take game days as planned windows: runs of an attached target, from their first step to their end."""
    from chaoskit.sla.planning import of_run

    problems: list[Problem] = []
    for run in runs:
        path = Path(run) if Path(run).exists() else out / run
        one = attempt(partial(of_run, path, store.environments(), int(time.time())), problems)
        if one is not None:
            say(f"{store.plan(one)}: {one.reason} of {one.environment}, {(one.ends_at - one.starts_at) / 60:.1f} min")
    if problems:
        raise BadInput(problems)


@sla_group.command("check")
@TARGETS
@config_options
@click.option("--metrics", type=click.Path(path_type=Path), metavar="FILE", help="Known metrics, a saved metrics page.")
@click.option("--search/--no-search", default=True, help="Search for a month missed without an alert.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Leave promtool's tests in this folder.")
@yours_option
def check_command(
    targets: Targets,
    files: ConfigFiles,
    metrics: Path | None,
    search: bool,
    keep: Path | None,
    yours: Mapping[str, str],
) -> ExitCode:
    """Compare targets with rules, offline, and look for a month that misses one while no alert fires.

    Exit codes: 0 nothing wrong, 1 a target and a rule disagree or a month can be missed in silence, 2 something cannot
    be read, 3 promtool, which would prove a silence, is not there.
    """
    from chaoskit.sla.against import watched

    folder = keep or Path(tempfile.mkdtemp(prefix="chaoskit-sla-"))
    folder.mkdir(parents=True, exist_ok=True)
    if not files:
        files = ConfigFiles(folder / "bundle")
        render(folder / "bundle", ("monitoring", "sla"), force=True)
    config = files.load()
    say(f"{targets.file}: {len(targets.levels)} levels: {', '.join(one.name for one in targets.levels)}")
    levels = watched(targets)
    outcome = check(LintContext(config, metrics=known_metrics(metrics, files.bundle), levels=levels))
    mine = [each for each in outcome.findings if LINTS[each.id].topic == "levels"]
    print_findings(mine)
    code = ExitCode.FAIL if any(each.severity is Severity.ERROR for each in mine) else ExitCode.PASS
    if search:
        closed = [rule.alert for rule in config.rules if rule.alert and BUDGET in rule.expr]
        pairs = zip(targets.levels, levels, strict=True)
        found = [_silence(level, one, config, folder, closed, yours) for level, one in pairs]
        code = max((code, *found), key=lambda each: (each is ExitCode.FAIL, each is ExitCode.UNKNOWN))
    return code


def _silence(
    level: Level, one: Watched, config: AlertConfig, folder: Path, closed: list[str], yours: Mapping[str, str]
) -> ExitCode:
    """Tells of a level whether a month was found that is missed in silence."""
    from chaoskit.sla import silent
    from chaoskit.sla.against import series_of

    mine = watches(config, [one])
    scrape_s = max((job.interval_s for job in config.jobs), default=config.evaluation_interval_s)
    until = time.monotonic() + silent.SEARCH_S
    best: tuple[silent.Silent, silent.Kind] | None = None
    kinds = list(series_of(level, config, mine))
    for kind in kinds:
        for found in silent.search(mine, one, kind, scrape_s, within_s=until - time.monotonic()):
            if best is None or len(found.failed) > len(best[0].failed):
                best = (found, kind)
    if not kinds:
        say(f"{one.name}: a level on latency is not searched for months that are missed without an alert")
        return ExitCode.PASS
    if best is None or not silent.holds(*best, mine):
        say(f"{one.name}: no month with a missed target and no alert was found within {silent.SEARCH_S:g} s")
        return ExitCode.PASS
    promtool = checkers(yours).get("promtool")
    if promtool is None or promtool.path is None:
        say(f"{one.name}: {best[0]}: chaoskit counts no alert; promtool, missing here, could prove it")
        return ExitCode.UNKNOWN
    where = folder / one.name
    where.mkdir(exist_ok=True)
    say(f"{one.name}: {best[0]}, found by chaoskit's count; promtool now proves it, which may take minutes")
    documents = silent.documents_of(*best, config, mine)
    try:
        refuted = silent.prove(promtool.path, silent.rules_of(config, mine), documents, where)
    except EquipmentError as error:
        say(f"{one.name}: not proven: {error}")
        return ExitCode.UNKNOWN
    if refuted:
        say(f"{one.name}: no month that is missed in silence was found: promtool refutes the last, {refuted[-200:]}")
        return ExitCode.PASS
    said = f"{one.name}: a month can be missed in silence: {best[0]}; promtool finds no alert firing ({where})"
    if closed:
        say(f"{said}; {', '.join(closed)} would fire, if chaoskit sla serve-metrics feeds Prometheus")
        return ExitCode.PASS
    say(f"{said}; add an alert on {BUDGET}, as in the bundle's part sla")
    return ExitCode.FAIL


@sla_group.command("cost")
@TARGETS
@config_options
@OUT
@click.option(
    "--bad", type=share, metavar="PERCENTAGE", default="100%", show_default=True, help="The share that fails."
)
@click.option("--repair", default="15m", show_default=True, metavar="DURATION", help="How long the repair takes.")
def cost_command(targets: Targets, files: ConfigFiles, out: Path, bad: float, repair: str) -> None:
    """Show how much of a month's budget is gone when the phone rings, by the promise and as runs measured it."""
    from chaoskit.sla.against import watched
    from chaoskit.sla.cost import measured, promised
    from chaoskit.sla.views import cost_view

    given = config_of(files), watched(targets), bad, seconds_of("--repair", repair)
    console().print(cost_view([*promised(*given), *measured(*given, _verdicts(out))], bad, repair))


def _verdicts(out: Path) -> Iterator[tuple[str, Verdict]]:
    for path in sorted(out.glob(f"*/{VERDICT}")):
        if not path.parent.is_symlink():
            try:
                yield path.parent.name, json_text.decode(path.read_bytes(), type=Verdict)
            except (OSError, msgspec.DecodeError) as error:
                click.echo(f"{path}: left out: {error}", err=True)


@sla_group.command("incidents")
@TARGETS
@STORE
@windowed
@ENVIRONMENT
@config_options
@click.option("--witness", metavar="URL", help="A witness: when notices arrived.")
@click.option("--witness-token-file", metavar="FILE", help="The file with the witness's token.")
@click.option("--silences", metavar="URL", help="An Alertmanager: when silences began.")
@form("text", "json")
def incidents_command(
    targets: Targets,
    store: Store,
    window_of: Callable[[str, int], Window],
    environments: tuple[str, ...],
    files: ConfigFiles,
    witness: str | None,
    witness_token_file: str | None,
    silences: str | None,
    format_: str,
) -> None:
    """Show a window's incidents with their price, outages that no alert saw, and alerts without an outage."""
    from chaoskit.sla import known as heard
    from chaoskit.sla.compute import recorded_to
    from chaoskit.sla.stories import stories
    from chaoskit.sla.views import incidents_view, stories_json

    access = Access(bearer=Secret(file=witness_token_file)) if witness_token_file else None
    known = heard.known(
        config_of(files),
        heard.words(witness, session_at(witness, access)) if witness else (),
        heard.silences(silences, session_at(silences, None)) if silences else (),
        scenarios(),
    )
    window = window_of(targets.zone, recorded(recorded_to(store, environments)))
    found = stories(store, targets, window, known, now=int(time.time()), environments=environments)
    print_as(format_, {"text": incidents_view, "json": stories_json}, window, found)


@sla_group.command("serve-metrics")
@TARGETS
@STORE
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=9095, show_default=True)
def serve_command(targets: Targets, store: Store, host: str, port: int) -> None:
    """Show service levels to a Prometheus that scrapes them, until Ctrl-C; renewed each minute."""
    exporter, ended = _exporter(store, targets), threading.Event()
    try:
        exporter.serve(host, port, lambda used: say(f"http://{host}:{used}/metrics; Ctrl-C ends it"), ended, say)
    except KeyboardInterrupt:
        ended.set()


@sla_group.command("metrics")
@TARGETS
@STORE
@click.option("--out", type=ResultFile(), required=True, help="The file, beside others of the textfile collector.")
def metrics_command(targets: Targets, store: Store, out: Path) -> None:
    """Write service levels once, for a node exporter's textfile collector; the file is whole at every instant."""
    text = _exporter(store, targets).text()
    fresh = out.with_name(f".{out.name}.new")
    try:
        write_named(fresh, text)
        fresh.replace(out)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise BadInput(
            Problem(Place(str(out)), f"cannot be written: {error.strerror or error}", "choose another --out")
        ) from None


def _exporter(store: Store, targets: Targets) -> Exporter:
    from chaoskit.sla.export import Exporter

    found = Exporter(store, targets)
    found.refresh()
    return found


def recorded(end: int | None) -> int:
    """Until when (seconds since the epoch) evidence is recorded; raises BadInput where there is none."""
    if end is None:
        raise BadInput(
            Problem(None, "nothing of these targets was recorded yet", "fill the store: chaoskit sla record")
        )
    return end


def config_of(files: ConfigFiles | None = None) -> AlertConfig:
    """The configuration that the options name; without any, the shipped one with its parts on service levels."""
    if files:
        return files.load()
    with tempfile.TemporaryDirectory(prefix="chaoskit-sla-") as folder:
        render(Path(folder) / "bundle", ("monitoring", "sla"))
        return ConfigFiles(Path(folder) / "bundle").load()


def scenarios() -> list[Scenario]:
    """All known scenarios; one that cannot be read rehearses nothing."""
    return [*readable(scenario_names().values())]
