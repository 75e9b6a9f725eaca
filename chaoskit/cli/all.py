"""All commands, under one name: the module of a command is imported when the command is asked for."""

from __future__ import annotations

from chaoskit.cli.commands import chaoskit

__all__ = ["chaoskit", "fetch"]

chaoskit.later.update(
    {
        "approve": "approve:approve_command",
        "attach": "attach:attach_command",
        "bundle": "bundle:bundle_group",
        "check": "check:check_command",
        "diff": "diff:diff_command",
        "explain": "explain:explain_command",
        "gate": "gate:gate_command",
        "heal": "safety:heal_command",
        "inject": "inject:inject_command",
        "list": "listing:list_command",
        "load-worker": "load_worker:load_worker_command",
        "mutate": "mutate:mutate_command",
        "new": "new:new_command",
        "promise": "promise:promise_group",
        "rehearse": "rehearse:rehearse_command",
        "runs": "safety:runs_group",
        "schema": "new:schema_command",
        "sla": "sla:sla_group",
        "status": "safety:status_command",
        "stop": "safety:stop_command",
        "unlock": "safety:unlock_command",
        "witness": "witness:witness_group",
    }
)


def fetch(*names: str) -> None:
    """Import the modules of these commands, of all unless told; a name that is no command's is passed over."""
    for name in names or tuple(chaoskit.later):
        chaoskit.fetch(name)
