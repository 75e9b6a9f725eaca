"""All commands, under one name."""

from __future__ import annotations

from chaoskit.cli.bundle import bundle_group
from chaoskit.cli.check import check_command
from chaoskit.cli.commands import chaoskit
from chaoskit.cli.diff import diff_command
from chaoskit.cli.explain import explain_command
from chaoskit.cli.gate import gate_command
from chaoskit.cli.inject import inject_command
from chaoskit.cli.listing import list_command
from chaoskit.cli.new import new_command, schema_command
from chaoskit.cli.rehearse import rehearse_command
from chaoskit.cli.safety import heal_command, runs_group, status_command, stop_command, unlock_command
from chaoskit.cli.sla_more import SLA
from chaoskit.cli.ui import ui_command
from chaoskit.cli.witness import witness_group

__all__ = ["chaoskit"]

for command in (
    bundle_group,
    check_command,
    diff_command,
    explain_command,
    gate_command,
    heal_command,
    inject_command,
    list_command,
    new_command,
    rehearse_command,
    runs_group,
    schema_command,
    SLA,
    status_command,
    stop_command,
    ui_command,
    unlock_command,
    witness_group,
):
    chaoskit.add_command(command)
