"""What the witness's document shows is what the commands take and the server answers."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from chaoskit.cli.doctor import doctor_command
from chaoskit.cli.witness import config_command, serve_command
from chaoskit.witness.store import Told

TEXT = (Path(__file__).parents[2] / "docs" / "witness.md").read_text(encoding="utf-8")


def test_every_option_that_is_shown_exists() -> None:
    known = {
        option
        for command in (doctor_command, config_command, serve_command)
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert shown
    assert shown <= known | {"--enable-feature"}  # Alertmanager's own


def test_the_fields_of_an_answer_are_all_named() -> None:
    for field in msgspec.structs.fields(Told):
        assert f'"{field.name}"' in TEXT
