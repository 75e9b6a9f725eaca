"""What is added to an Alertmanager's configuration: all that is needed, once, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from chaoskit import bundle
from chaoskit.alerting.config_alertmanager import read_alertmanager
from chaoskit.alerting.config_fields import Reading
from chaoskit.cli import run
from chaoskit.errors import BadInput, ExitCode
from chaoskit.witness.config import RECEIVER, additions, entry, led, patched

URL = "http://127.0.0.1:9765"
TEXT = """\
global: {smtp_smarthost: 'mail:25', smtp_auth_password: hunter2}
route:
  receiver: ops
  routes:
    - {receiver: night, matchers: [severity=critical], active_time_intervals: [dark]}
time_intervals:
  - name: dark
    time_intervals:
      - times: [{start_time: 17:00, end_time: 24:00}]   # a reader of YAML 1.1 makes 1020 of it
receivers:
  - name: ops
    webhook_configs: &hooks
      - url: https://hooks.example.com/x
  - name: night
    webhook_configs: *hooks
  - name: team/müller
    email_configs: [{to: a@example.com}]
"""


def webhooks(text: str) -> dict[str, list[dict[str, object]]]:
    return {one["name"]: one.get("webhook_configs", []) for one in yaml.safe_load(text)["receivers"]}


def test_every_receiver_gets_an_entry_beside_its_own_and_the_canary_a_route_before_all_others() -> None:
    found = patched(TEXT, URL, "/etc/token")
    own = {"url": "https://hooks.example.com/x"}
    assert webhooks(found) == {
        "ops": [own, entry("ops", URL, "/etc/token")],
        "night": [own, entry("night", URL, "/etc/token")],
        "team/müller": [entry("team/müller", URL, "/etc/token")],
        RECEIVER: [entry(RECEIVER, URL, "/etc/token")],
    }
    assert entry("team/müller", URL, "")["url"] == f"{URL}/receiver/team%2Fm%C3%BCller"
    routes = yaml.safe_load(found)["route"]["routes"]
    assert [route["receiver"] for route in routes] == [RECEIVER, "night"]
    assert "continue" not in routes[0]


def test_what_is_not_touched_keeps_its_spelling_and_its_secrets() -> None:
    found = patched(TEXT, URL)
    assert "start_time: '17:00'" in found
    assert "hunter2" in found


@pytest.mark.parametrize("text", [TEXT, (bundle.folder() / "alertmanager.yml").read_text()], ids=["own", "shipped"])
def test_a_patched_configuration_is_patched_into_itself_and_lacks_nothing(text: str) -> None:
    once = patched(text, URL, "/etc/token")
    assert patched(once, URL, "/etc/token") == once
    assert additions(once, URL, "/etc/token") == []
    names = list(webhooks(text))
    assert led(once, names).lacking == ()
    assert led(text, names).lacking == tuple(names)


def test_another_address_or_token_takes_the_place_of_the_old_one() -> None:
    moved = patched(patched(TEXT, URL, "/etc/token"), "https://witness.example.com", "/etc/other")
    assert moved == patched(TEXT, "https://witness.example.com", "/etc/other")
    assert any("becomes" in one.what for one in additions(patched(TEXT, URL), URL, "/etc/token"))


def test_a_webhook_of_the_teams_whose_path_looks_like_the_witnesss_stays() -> None:
    """It is neither replaced, nor taken for the witness, nor left out of what is judged."""
    own = {"url": "https://pager.example/hooks/receiver/crew", "send_resolved": True}
    text = yaml.safe_dump({"route": {"receiver": "crew"}, "receivers": [{"name": "crew", "webhook_configs": [own]}]})
    assert led(text, ["crew"]).lacking == ("crew",)
    once = patched(text, URL)
    assert webhooks(once)["crew"] == [own, entry("crew", URL, "")]
    assert additions(once, URL) == []
    reading = Reading()
    found = read_alertmanager(reading, once, "alertmanager.yml").receivers["crew"].integrations
    assert (reading.problems, [each.is_witness for each in found]) == ([], [False, True])


def test_the_snippets_name_the_line_and_are_what_the_whole_gets() -> None:
    found = additions(TEXT, URL, "/etc/token")
    assert [one.place.line for one in found] == sorted(one.place.line for one in found)
    by_place = {one.place.line: one for one in found}
    assert yaml.safe_load(by_place[11].yaml) == [entry("ops", URL, "/etc/token")]
    assert yaml.safe_load(by_place[16].yaml) == {"webhook_configs": [entry("team/müller", URL, "/etc/token")]}


def test_a_loaded_configuration_that_hides_addresses_is_told_from_one_without_the_witness() -> None:
    hidden = patched(TEXT, URL).replace(f"{URL}/receiver/ops", "<secret>")
    assert led(hidden, ["ops", "night", "gone"]).hidden == ("ops",)
    assert led(hidden, ["ops", "night", "gone"]).lacking == ("gone",)
    with pytest.raises(ValueError, match="no Alertmanager configuration"):
        led("just a text", ["ops"])


@pytest.mark.parametrize(
    ("text", "url", "said"),
    [
        ("[]", URL, "expected keys and values"),
        ("route: {receiver: x}\nreceivers: []\n", URL, "'x'"),
        (TEXT, "127.0.0.1:9765", "is no URL"),
        (TEXT, "http://user:pass@127.0.0.1", "is no URL"),
    ],
)
def test_what_cannot_be_patched_is_said(text: str, url: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        patched(text, url)
    assert "pass@" not in str(refused.value)


def test_the_command_prints_snippets_or_the_whole_and_warns_of_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "alertmanager.yml"
    file.write_text(TEXT)
    command = ["witness", "config", "--alertmanager", str(file), "--token-file", "/etc/token"]
    assert run(command) == ExitCode.PASS
    said = capsys.readouterr()
    assert f"# {file}:11: to the webhook_configs of the receiver ops, add" in said.out
    assert "hunter2" not in said.out
    assert run([*command, "--whole"]) == ExitCode.PASS
    said = capsys.readouterr()
    assert said.out == patched(TEXT, URL, "/etc/token")
    assert "secrets" in said.err
    file.write_text(said.out)
    assert run(command) == ExitCode.PASS
    said = capsys.readouterr()
    assert (said.out, "nothing to add" in said.err) == ("", True)
