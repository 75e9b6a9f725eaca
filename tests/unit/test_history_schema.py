"""The format of a history only grows: older files are read as they were, and additions of later ones are no damage."""

from __future__ import annotations

import json
import os
import platform
import pwd
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.errors import BadInput
from chaoskit.events import SCHEMA, SCHEMAS, AnyEvent, Event, Later, LogLine, Pressure, Scrapes, decode, encode
from chaoskit.history import History, parse_history
from chaoskit.host.revisions import commit_here
from chaoskit.run.planning import Asked, plan_for
from chaoskit.run.prepare import _origin
from chaoskit.safety.unhealed import JOURNAL, read_standing
from chaoskit.verify.verify import verify
from tests.golden.doctored import FOLDER

QUIET = (FOLDER / "quiet.jsonl").read_bytes()
DOCS = Path(__file__).parents[2] / "docs" / "history.md"


def changed(number: int, **more: Any) -> bytes:
    """A recorded history with more fields in one of its events."""
    lines = QUIET.split(b"\n")
    lines[number] = json.dumps(json.loads(lines[number]) | more).encode()
    return b"\n".join(lines)


def with_event(**fields: Any) -> bytes:
    """A recorded history with one more event."""
    n = QUIET.count(b"\n")
    return QUIET + json.dumps({"n": n, "t": json.loads(QUIET.split(b"\n")[-2])["t"], **fields}).encode() + b"\n"


def judged(history: History) -> list[object]:
    return [(row.about, row.hop, row.result, row.reason) for row in verify(history).rows]


def test_schemas_1_and_2_are_read_alike() -> None:
    assert (json.loads(QUIET.split(b"\n")[0])["schema"], SCHEMA, SCHEMAS) == (1, 2, (1, 2))
    newer = parse_history(changed(0, schema=2), "quiet.jsonl")
    assert judged(newer) == judged(parse_history(QUIET, "quiet.jsonl"))


@pytest.mark.parametrize("schema", [0, 3])
def test_another_schema_is_refused_with_what_to_do(schema: int) -> None:
    with pytest.raises(BadInput, match=f"quiet.jsonl:1: schema {schema} is not known.*judge it with the one that"):
        parse_history(changed(0, schema=schema), "quiet.jsonl")


def test_a_field_that_a_later_one_added_is_kept_and_named_and_changes_no_row() -> None:
    history = parse_history(changed(1, mood={"deep": [1]}), "quiet.jsonl")
    kind = json.loads(QUIET.split(b"\n")[1])["type"]
    assert history.unread == {1: {"mood": {"deep": [1]}}}
    assert judged(history) == judged(parse_history(QUIET, "quiet.jsonl"))
    assert f"a later chaoskit wrote this history; not read here: {kind}.mood" in verify(history).notes


def test_an_added_field_hides_no_damage_beside_it() -> None:
    with pytest.raises(BadInput, match=r"quiet.jsonl:2: not an event"):
        parse_history(changed(1, mood=1, t="late"), "quiet.jsonl")


def test_an_unknown_event_is_refused_unless_it_says_that_it_is_optional() -> None:
    for said in ({}, {"optional": False}, {"optional": "true"}):
        with pytest.raises(BadInput, match=r"quiet.jsonl:\d+: not an event"):
            parse_history(with_event(type="dream", **said), "quiet.jsonl")
    history = parse_history(with_event(type="dream", optional=True, of="sheep"), "quiet.jsonl")
    (dream,) = history.of(Later)
    assert dream.fields["of"] == "sheep"
    assert judged(history) == judged(parse_history(QUIET, "quiet.jsonl"))
    assert "a later chaoskit wrote this history; not read here: event dream" in verify(history).notes


def test_an_optional_event_keeps_its_place_in_the_numbers() -> None:
    data = with_event(type="dream", optional=True).replace(b'"type": "dream"', b'"type": "dream", "more": 1')
    broken = data.replace(f'"n": {QUIET.count(bytes([10]))}'.encode(), b'"n": 99999')
    with pytest.raises(BadInput, match="is missing, 99999 is here"):
        parse_history(broken, "quiet.jsonl")


def test_what_a_later_one_added_to_a_fault_keeps_it_from_no_healing(tmp_path: Path) -> None:
    lines = (FOLDER / "kept.jsonl").read_bytes().split(b"\n")
    of_fault = [json.loads(line) | {"mood": 1} for line in lines if b'"type":"invoke"' in line]
    (tmp_path / JOURNAL).write_bytes(b"".join(json.dumps(event).encode() + b"\n" for event in of_fault))
    ledger = read_standing(tmp_path)
    assert (list(ledger.standing), ledger.damaged) == (["kill#0"], 0)


def test_what_a_rehearsal_is_judged_on_is_an_event() -> None:
    for event in (
        Pressure(readings=[(1.0, 0.5)]),
        LogLine(source="prometheus", line="Expanding alert template failed"),
        Scrapes(during=(1.0, 2.0), failed=None),
    ):
        assert decode(encode(event)) == event


def test_the_documentation_has_a_row_for_each_event_as_it_is() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    assert rows == [documented(kind) for kind in get_args(AnyEvent) if kind is not Later]


def documented(kind: type[Event]) -> str:
    """A table's row, from the event's own words."""
    fields = [f"`{name}`" for name in kind.__struct_fields__ if name not in Event.__struct_fields__]
    said = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return f"| `{kind.__struct_config__.tag}` | {', '.join(fields)} | {said} |"


def test_a_header_says_who_asked_where_and_the_command_that_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked("worker-unhealthy", "local", ConfigFiles(bundle.folder()), ("load.rate=20/s",), seed=7)
    plan, _, scenario, _ = plan_for(asked)
    origin = _origin(asked, scenario, plan)
    assert (origin.by, origin.host) == (pwd.getpwuid(os.getuid()).pw_name, platform.node())
    assert (
        origin.command == "chaoskit run worker-unhealthy --profile local --time-scale 60 --seed 7 --set load.rate=20/s"
    )
    folder = tmp_path / "my alerts"
    own = _origin(replace(asked, files=ConfigFiles(folder), confirm="staging"), str(tmp_path / "x.yml"), plan)
    assert own.command.endswith(f"--bundle '{folder}' --set load.rate=20/s --confirm staging")
    monkeypatch.chdir(tmp_path)
    assert commit_here() == ""
    subprocess.run(["git", "init", "-q"], check=True)
    (tmp_path / "a").write_text("a")
    mine = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run(["git", "add", "a"], check=True)
    subprocess.run(["git", *mine, "commit", "-qm", "a"], check=True)
    assert re.fullmatch(r"[0-9a-f]{12}", commit_here())
    (tmp_path / "a").write_text("b")
    assert commit_here().endswith("-dirty")
