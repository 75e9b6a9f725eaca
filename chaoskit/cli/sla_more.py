"""`chaoskit sla`, the part about alerts: targets against rules, incidents, what silence costs, and the exporter."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec

from chaoskit.access import session_at
from chaoskit.alerting.config import ConfigFiles
from chaoskit.alerting.model import AlertConfig
from chaoskit.bundle.render import render
from chaoskit.check.findings import LINTS, Severity
from chaoskit.check.levels import Level as Watched
from chaoskit.check.levels import watches
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.cli.check import known_metrics, print_findings
from chaoskit.cli.console import console, say
from chaoskit.cli.outputs import OUT, ResultFile
from chaoskit.cli.percent import Share
from chaoskit.cli.sla import DB, ENVIRONMENT, TARGETS, recorded, sla_group, windowed
from chaoskit.cli.sla_config import config_of, scenarios
from chaoskit.cli.sources import config_options, versions_of, yours_option
from chaoskit.errors import BadInput, EquipmentError, ExitCode, Place, Problem
from chaoskit.files import write_named
from chaoskit.report.judge_run import VERDICT
from chaoskit.report.terminal import print_to
from chaoskit.scenario.model import Access, Secret
from chaoskit.sla.model import Window
from chaoskit.sla.targets import Level, load_targets
from chaoskit.stack.original import checkers
from chaoskit.units import parse_duration
from chaoskit.verify.verdict import Verdict

SLA = sla_group
"""All commands of `chaoskit sla`."""
BUDGET = "chaoskit_sla_budget_left_ratio"


@sla_group.command("check")
@TARGETS
@config_options
@click.option("--metrics", type=click.Path(path_type=Path), metavar="FILE", help="Known metrics, a saved metrics page.")
@click.option("--search/--no-search", default=True, help="Search for a month missed without an alert.")
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Leave promtool's tests in this folder.")
@yours_option
def check_command(
    file: Path,
    files: ConfigFiles,
    metrics: Path | None,
    search: bool,
    keep: Path | None,
    yours: tuple[str, ...],
) -> ExitCode:
    """Compare targets with rules, offline, and look for a month that misses one while no alert fires.

    Exit codes: 0 nothing wrong, 1 a target and a rule disagree or a month can be missed in silence, 2 something cannot
    be read, 3 promtool, which would prove a silence, is not there.
    """
    from chaoskit.sla.against import watched

    targets = load_targets(file)
    folder = keep or Path(tempfile.mkdtemp(prefix="chaoskit-sla-"))
    folder.mkdir(parents=True, exist_ok=True)
    if not files:
        files = ConfigFiles(folder / "bundle")
        render(folder / "bundle", ("monitoring", "sla"), force=True)
    config = files.load()
    say(f"{file}: {len(targets.levels)} levels: {', '.join(one.name for one in targets.levels)}")
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
    level: Level, one: Watched, config: AlertConfig, folder: Path, closed: list[str], yours: tuple[str, ...]
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
        say(f"{one.name}: no month that is missed in silence was found within {silent.SEARCH_S:g} s")
        return ExitCode.PASS
    promtool = checkers(versions_of(yours)).get("promtool")
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
@click.option("--bad", type=Share(), default="100%", show_default=True, help="The share that fails.")
@click.option("--repair", default="15m", show_default=True, metavar="DURATION", help="How long the repair takes.")
def cost_command(
    file: Path,
    files: ConfigFiles,
    out: Path,
    bad: float,
    repair: str,
) -> ExitCode:
    """How much of a month's budget is gone when the phone rings, by the promise and as runs measured it."""
    from chaoskit.sla.against import watched
    from chaoskit.sla.cost import measured, promised
    from chaoskit.sla.views import cost_view

    targets = load_targets(file)
    config = config_of(files)
    levels = watched(targets)
    repair_s = _duration(repair, "--repair")
    print_to(
        console(),
        cost_view(
            [*promised(config, levels, bad, repair_s), *measured(config, levels, bad, repair_s, _verdicts(out))],
            bad,
            repair,
        ),
    )
    return ExitCode.PASS


def _verdicts(out: Path) -> Iterator[tuple[str, Verdict]]:
    for path in sorted(out.glob(f"*/{VERDICT}")):
        if not path.parent.is_symlink():
            try:
                yield path.parent.name, msgspec.json.decode(path.read_bytes(), type=Verdict)
            except (OSError, msgspec.DecodeError) as error:
                click.echo(f"{path}: left out: {error}", err=True)


def _duration(text: str, option: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadInput(Problem(None, f"{option}: {error}", "write 15m")) from None


@sla_group.command("incidents")
@TARGETS
@DB
@windowed
@ENVIRONMENT
@config_options
@click.option("--witness", metavar="URL", help="A witness: when notices arrived.")
@click.option("--witness-token-file", metavar="FILE", help="The file with its token.")
@click.option("--silences", metavar="URL", help="An Alertmanager: when silences began.")
@click.option("--format", "format_", type=click.Choice(("text", "json")), default="text", show_default=True)
def incidents_command(
    file: Path,
    db: str,
    window_of: Callable[[str, int], Window],
    environments: tuple[str, ...],
    files: ConfigFiles,
    witness: str | None,
    witness_token_file: str | None,
    silences: str | None,
    format_: str,
) -> ExitCode:
    """Show a window's incidents with their price, outages that no alert saw, and alerts without an outage."""
    from chaoskit.sla import known as heard
    from chaoskit.sla.compute import recorded_to
    from chaoskit.sla.store import open_store
    from chaoskit.sla.stories import stories
    from chaoskit.sla.views import incidents_view, stories_json

    targets, now = load_targets(file), int(time.time())
    access = Access(bearer=Secret(file=witness_token_file)) if witness_token_file else None
    known = heard.known(
        config_of(files),
        heard.words(witness, session_at(witness, access)) if witness else (),
        heard.silences(silences, session_at(silences, None)) if silences else (),
        scenarios(),
    )
    with open_store(db, create=False) as store:
        end = recorded(recorded_to(store, environments))
        window = window_of(targets.zone, end)
        found = stories(store, targets, window, known, now=now, environments=environments)
    if format_ == "json":
        click.echo(stories_json(window, found), nl=False)
    else:
        print_to(console(), incidents_view(window, found))
    return ExitCode.PASS


@sla_group.command("serve-metrics")
@TARGETS
@DB
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=9095, show_default=True)
def serve_command(file: Path, db: str, host: str, port: int) -> ExitCode:
    """Show service levels to a Prometheus that scrapes them, until Ctrl-C; renewed each minute."""
    from chaoskit.sla.export import Exporter
    from chaoskit.sla.store import open_store

    targets, ended = load_targets(file), threading.Event()
    with open_store(db, create=False) as store:
        exporter = Exporter(store, targets)
        exporter.refresh()
        try:
            exporter.serve(host, port, lambda used: say(f"http://{host}:{used}/metrics; Ctrl-C ends it"), ended, say)
        except KeyboardInterrupt:
            ended.set()
    return ExitCode.PASS


@sla_group.command("metrics")
@TARGETS
@DB
@click.option("--out", type=ResultFile(), required=True, help="The file, beside others of the textfile collector.")
def metrics_command(file: Path, db: str, out: Path) -> ExitCode:
    """Write service levels once, for a node exporter's textfile collector; the file is whole at every instant."""
    from chaoskit.sla.export import Exporter
    from chaoskit.sla.store import open_store

    targets = load_targets(file)
    with open_store(db, create=False) as store:
        exporter = Exporter(store, targets)
        exporter.refresh()
        text = exporter.text()
    fresh = out.with_name(f".{out.name}.new")
    try:
        write_named(fresh, text)
        fresh.replace(out)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise BadInput(
            Problem(Place(str(out)), f"cannot be written: {error.strerror or error}", "choose another --out")
        ) from None
    return ExitCode.PASS
