"""All commands, under one name: the module of a command is imported when the command is asked for."""

from __future__ import annotations

import click

from chaoskit import __version__
from chaoskit.cli.console import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="chaoskit")
def chaoskit() -> None:
    """Proves that alerts work: real faults, a real Prometheus and Alertmanager, real notices, one verdict."""


chaoskit.later.update(
    {
        "approve": "approve:approve_command",
        "attach": "new:attach_command",
        "bundle": "bundle:bundle_group",
        "check": "check:check_command",
        "diff": "diff:diff_command",
        "doctor": "doctor:doctor_command",
        "explain": "explain:explain_command",
        "gate": "gate:gate_command",
        "heal": "safety:heal_command",
        "inject": "inject:inject_command",
        "list": "listing:list_command",
        "load-worker": "load_worker:load_worker_command",
        "mutate": "mutate:mutate_command",
        "new": "new:new_command",
        "plan": "commands:plan_command",
        "promise": "promise:promise_group",
        "rehearse": "rehearse:rehearse_command",
        "run": "commands:run_command",
        "runs": "safety:runs_group",
        "schema": "new:schema_command",
        "sla": "sla:sla_group",
        "status": "safety:status_command",
        "stop": "safety:stop_command",
        "ui": "commands:ui_command",
        "unlock": "safety:unlock_command",
        "up": "commands:up_command",
        "verify": "commands:verify_command",
        "witness": "witness:witness_group",
    }
)


def fetch(*names: str) -> None:
    """Import the modules of these commands, of all unless told; a name that is no command's is passed over."""
    for name in names or tuple(chaoskit.later):
        chaoskit.fetch(name)
