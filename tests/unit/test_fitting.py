"""A configuration for a newer Alertmanager than any at hand is played without what only that one knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from chaoskit.errors import EquipmentError, Place, Problem
from chaoskit.localize.configuration import Localized, Ports, localize
from chaoskit.localize.redirect import Setting
from chaoskit.localize.sink_addresses import SinkAddresses
from chaoskit.stack import original as fitting
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.local import LocalStack
from chaoskit.stack.monitoring import check_alertmanager, check_alertmanagers
from chaoskit.stack.original import fitted

NEWER = """\
route:
  receiver: a
  labels: {team: x}
  routes:
  - {receiver: b, matchers: ['x="1"'], labels: {team: y}}
receivers:
- name: a
  slack_configs: [{api_url: 'http://x/', channel: c, text: hello, message_text: hi, timeout: 5s}]
  webhook_configs: [{url: 'http://x/', payload: {a: b}, timeout: 3s}]
- name: b
  rocketchat_configs: [{token: a, token_id: b, channel: x, api_url: 'http://x/'}]
  email_configs: [{to: a@b.c, from: a@b.c, smarthost: 'x:25', threading: {enabled: true, thread_by_date: daily}}]
inhibit_rules:
- {name: n, source_match: {name: s}, target_matchers: ['c="d"']}
"""
PROMETHEUS = "scrape_configs: [{job_name: any, static_configs: [{targets: ['x:1']}]}]\n"
PORTS = Ports(*range(2000, 2000 + len(Ports.__dataclass_fields__)))


def made(folder: Path, routes: str = NEWER) -> Callable[[frozenset[Setting]], Localized]:
    ports = iter(range(3000, 4000))
    sources = {"prometheus:p.yml": PROMETHEUS, "alertmanager:a.yml": routes}

    def make(too_new: frozenset[Setting]) -> Localized:
        book = SinkAddresses(PORTS.webhook, lambda: next(ports))
        return localize(sources, folder, PORTS, 60.0, book, {}, too_new)

    return make


def test_of_several_configurations_amtool_says_in_one_call_what_it_says_of_each(
    tmp_path: Path, generation: Binaries
) -> None:
    good = "route: {receiver: a}\nreceivers: [{name: a}]\n"
    texts = [good, good.replace("receiver: a", "receiver: b"), "route: [", good, good.replace("name: a", "nam: a")]
    files = [tmp_path / f"{number}.yml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    files.append(tmp_path / "none.yml")
    together = check_alertmanagers(generation.amtool, files)
    assert together == [check_alertmanager(generation.amtool, file) for file in files]
    assert [bool(each) for each in together] == [False, True, True, False, True, True]
    assert check_alertmanagers(generation.amtool, []) == []


def test_what_an_older_alertmanager_does_not_know_is_left_out_and_it_takes_the_rest(
    tmp_path: Path, generation: Binaries
) -> None:
    """Nobody else is told than before; whatever is lost has a note."""
    localized = fitted(made(tmp_path), generation.amtool)
    (tmp_path / "am.yml").write_text(localized.files["alertmanager.yml"])
    assert check_alertmanager(generation.amtool, tmp_path / "am.yml") == ()
    found = yaml.safe_load(localized.files["alertmanager.yml"])
    assert [each["receiver"] for each in (found["route"], *found["route"]["routes"])] == ["a", "b"]
    assert found["route"]["routes"][0]["matchers"] == ['x="1"']
    assert found["inhibit_rules"][0]["source_match"] == {"name": "s"}
    assert [(door.receiver, door.integration) for door in localized.doors] == [
        ("a", "slack"), ("a", "webhook"), ("b", "rocketchat"), ("b", "email"),
    ]  # fmt: skip
    a, b = found["receivers"]
    assert a["slack_configs"][0]["text"] == "hello"
    left_out = [note for note in localized.notes if "the Alertmanager here does not know this setting" in note]
    if generation.versions["alertmanager"].startswith("0.25"):
        assert "message_text" not in a["slack_configs"][0]
        assert "rocketchat_configs" not in b
        assert len(b["webhook_configs"]) == 1
        assert {note.partition(": ")[0] for note in left_out} == {
            "route, labels", "receiver a, slack 0, message_text", "receiver a, slack 0, timeout",
            "receiver a, webhook 0, payload", "receiver a, webhook 0, timeout", "receiver b, rocketchat 0",
            "receiver b, email 0, threading", "inhibit_rules, name",
        }  # fmt: skip
    if generation.versions["alertmanager"].startswith("0.33"):
        assert [note.partition(": ")[0] for note in left_out] == ["route, labels"]


def test_a_key_that_decides_who_is_told_is_never_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(programs: object, file: Path) -> tuple[Problem, ...]:
        lines = file.read_text().splitlines()
        at = next(n for n, line in enumerate(lines, 1) if "matchers:" in line)
        return (Problem(Place(str(file), at), "field matchers not found in type config.plain"),)

    monkeypatch.setattr(fitting, "check_alertmanager", refuses)
    localized = fitted(made(tmp_path), Path("none"))
    assert yaml.safe_load(localized.files["alertmanager.yml"])["route"]["routes"][0]["matchers"] == ['x="1"']


def test_a_setting_without_which_an_integration_cannot_do_makes_it_a_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(programs: object, file: Path) -> tuple[Problem, ...]:
        lines = file.read_text().splitlines()
        begun = lines.index("  slack_configs:")
        at = next((n for n, line in enumerate(lines[begun:], begun + 1) if "http_config:" in line), 0)
        return (Problem(Place(str(file), at), "field http_config not found in type config.plain"),) if at else ()

    text = NEWER.replace("slack_configs", "webhook_configs").replace("webhook_configs", "slack_configs", 1)
    text = "\n".join(line for line in text.splitlines() if "  webhook_configs" not in line)
    asked: list[frozenset[Setting]] = []

    def make(too_new: frozenset[Setting]) -> Localized:
        asked.append(too_new)
        return made(tmp_path, text)(too_new)

    monkeypatch.setattr(fitting, "check_alertmanager", lambda p, f: refuses(p, f) if len(asked) == 1 else ())
    localized = fitted(make, Path("none"))
    assert asked == [frozenset(), {("slack", "http_config")}]
    assert "webhook_configs" in yaml.safe_load(localized.files["alertmanager.yml"])["receivers"][0]
    assert any("receiver a, slack 0: sent as a webhook" in note for note in localized.notes)


def test_a_file_of_ours_that_the_program_refuses_is_the_equipments_failure(tmp_path: Path, binaries: Binaries) -> None:
    """The user's own file was asked about before: this is UNKNOWN, and no bad input."""
    localized = made(tmp_path, NEWER.replace("receiver: b,", "receiver: b, group_wait: 1s,"))(frozenset())
    stack = LocalStack(tmp_path, binaries, localized, PORTS, 60.0, None)
    stack._write_files()
    (tmp_path / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: []\n")
    with pytest.raises(
        EquipmentError, match=r"does not start with the configuration that chaoskit wrote.*undefined receiver"
    ):
        stack._start_server("alertmanager")
