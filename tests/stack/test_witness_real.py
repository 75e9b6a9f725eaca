"""A patched configuration in the real programs: amtool takes it, receivers are heard, a canary finds its way."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
import yaml

from chaoskit import bundle
from chaoskit.alerting.config import load_config
from chaoskit.cli import run
from chaoskit.errors import ExitCode
from chaoskit.examine.attached import examine_attached
from chaoskit.examine.endpoint import Checked
from chaoskit.handles.role import Role
from chaoskit.host.ports import reserve
from chaoskit.host.process import spawn
from chaoskit.scenario.model import Access, Attached, Handles, Secret
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.monitoring import await_discovery, check_alertmanager, start_alertmanager
from chaoskit.witness.config import led, patched
from chaoskit.witness.server import WitnessServer
from tests.http_stub import METRICS, Handler, serving
from tests.witness_examples import TOKEN, witness

pytestmark = pytest.mark.stack

SHIPPED = bundle.folder()
KEYS = ("prometheus", "alertmanager", "metrics", "environment", "witness")
PAGE = b'# TYPE crm_up gauge\ncrm_up{environment="staging"} 1\n'


class Page(Handler):
    """A metrics page that says which environment it is."""

    def do_GET(self) -> None:
        self.answer(PAGE, kind=METRICS)


def test_amtool_takes_the_patched_configuration(generation: Binaries, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(SHIPPED, folder)
    file = folder / "alertmanager.yml"
    file.write_text(patched(file.read_text(), "http://127.0.0.1:9765", "/etc/alertmanager/witness-token"))
    assert check_alertmanager(generation.amtool, file) == ()
    assert run(["check", "--strict", "--no-programs", "--bundle", str(folder)]) == 0
    routed = [generation.amtool, "config", "routes", "test", f"--config.file={file}"]
    for labels, receivers in (("alertname=ChaoskitCanary", "chaoskit-witness"), ("alertname=X", "default-receiver")):
        said = subprocess.run([*routed, labels], check=True, capture_output=True, text=True, timeout=60).stdout
        assert said.split() == [receivers]


ROOTS = ("", "group_by: ['...']", "routes: []", "routes: [{receiver: b, matchers: [team=x], continue: true}]")
RECEIVERS = ("", "webhook_configs: []", "webhook_configs: [{url: 'http://h/', send_resolved: false}]")


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("entry", RECEIVERS)
def test_what_is_written_is_refused_by_nobody(
    generation: Binaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, entry: str
) -> None:
    """Neither by check, with its lints, nor by amtool; patched again it is the same."""
    lines = ["route:", "  receiver: a", *([f"  {root}"] if root else []), "receivers:"]
    for name in "ab":
        lines += [f"  - name: {name}", *([f"    {entry}"] if entry else [])]
    text = patched("\n".join(lines) + "\n", "http://127.0.0.1:9765", "/run/token")
    monkeypatch.setenv("CHAOSKIT_AMTOOL", str(generation.amtool))
    monkeypatch.chdir(tmp_path)
    Path("am.yml").write_text(text)
    assert run(["check", "--alertmanager", "am.yml"]) == 0
    assert patched(text, "http://127.0.0.1:9765", "/run/token") == text


@contextmanager
def staging(programs: Binaries, folder: Path, server: WitnessServer, *, patch: bool = True) -> Iterator[Attached]:
    """A running Prometheus and Alertmanager with the shipped rules and routes, and a page that they scrape."""
    alert_port, prom_port = reserve(2)
    (folder / "token").write_text(TOKEN + "\n")
    text = (SHIPPED / "alertmanager.yml").read_text()
    text = patched(text, server.url, str(folder / "token")) if patch else text
    config = yaml.safe_load(text) | {"templates": []}
    for receiver in config["receivers"]:
        receiver.pop("email_configs", None)
        receiver["webhook_configs"] = [
            one for one in receiver.get("webhook_configs", []) if str(server.port) in one["url"]
        ]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config, sort_keys=False))
    prometheus = yaml.safe_load((SHIPPED / "prometheus_config.yml").read_text())
    prometheus["rule_files"] = [str(SHIPPED / name) for name in prometheus["rule_files"]]
    alertmanagers = [{"static_configs": [{"targets": [f"127.0.0.1:{alert_port}"]}]}]
    prometheus["alerting"] = {"alertmanagers": alertmanagers}
    with ExitStack() as cleanup:
        page = cleanup.enter_context(serving(Page))
        targets = [f"127.0.0.1:{page.server_port}"]
        often = {"scrape_interval": "500ms", "scrape_timeout": "400ms"}
        prometheus["scrape_configs"] = [{"job_name": "crm", **often, "static_configs": [{"targets": targets}]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus, sort_keys=False))
        alerting = start_alertmanager(
            programs, folder / "alertmanager.yml", folder / "am", alert_port, folder / "am.log"
        )
        cleanup.callback(alerting.stop)
        child = spawn(
            [
                programs.prometheus,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/prom",
                f"--web.listen-address=127.0.0.1:{prom_port}",
            ],
            name="prometheus",
            log=folder / "prom.log",
        )
        cleanup.callback(child.stop)
        await_discovery(f"http://127.0.0.1:{prom_port}")
        yield Attached(
            prometheus=f"http://127.0.0.1:{prom_port}",
            alertmanager=f"http://127.0.0.1:{alert_port}",
            metrics=f"http://{targets[0]}/metrics",
            environment="staging",
            witness=server.url,
            access={"witness": Access(bearer=Secret(file=str(folder / "token")))},
        )


def by_name(lines: Iterator[Checked]) -> dict[str, Checked]:
    return {line.what: line for line in lines}


@pytest.mark.drill
@pytest.mark.outermost
def test_a_canary_makes_it_through_the_real_alertmanager_and_everything_is_as_promised(
    generation: Binaries, tmp_path: Path
) -> None:
    with witness() as server, staging(generation, tmp_path, server) as target:
        handles = Handles({"role": {"self": Role(match=r".*pytest(?P<name>.*)")}})
        lines = list(examine_attached(target, handles, load_config(SHIPPED, complete=True), canary=True))
        elsewhere = "[promise-a"  # the addresses here are not those of the bundle
        assert [line for line in lines if line.state != "ok" and elsewhere not in line.detail] == []
        found = by_name(iter(lines))
        assert "all-clear after" in found["canary"].detail
        heard = [one.receiver for one in server.store.tell(server.store.boot, 0, 0.0, 0.0).notices]
        assert set(heard) == {"chaoskit-witness"}
        assert TOKEN not in str(lines)
        loaded = requests.get(f"{target.alertmanager}/api/v2/status", timeout=10).json()["config"]["original"]
        assert led(loaded, ["critical-alerts", "nobody"]).lacking == ("nobody",)


@pytest.mark.drill
def test_without_its_route_no_canary_is_sent_and_what_is_missing_is_named(
    binaries: Binaries, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpatched(binaries, tmp_path, capsys)


@pytest.mark.drill
@pytest.mark.long
def test_that_holds_for_each_generation(
    generation: Binaries, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpatched(generation, tmp_path, capsys)


def unpatched(programs: Binaries, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unpatched Alertmanager, with a silence in force, examined by the command itself; then one without a status."""
    with witness() as server, staging(programs, tmp_path, server, patch=False) as target:
        matcher = {"name": "alertname", "value": "WorkerUnhealthy", "isRegex": False, "isEqual": True}
        times = {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z"}
        silence = {"matchers": [matcher], "createdBy": "ops", "comment": "x", **times}
        requests.post(f"{target.alertmanager}/api/v2/silences", json=silence, timeout=10).raise_for_status()
        attached = {
            **{name: getattr(target, name) for name in KEYS},
            "access": {"witness": {"bearer_file": str(tmp_path / "token")}},
        }
        profile = tmp_path / "staging.yml"
        profile.write_text(yaml.safe_dump({"chaoskit": 1, "target": {"attached": attached}}))
        assert run(["doctor", "--profile", str(profile), "--format", "json"]) == ExitCode.USAGE
        found = {line["what"]: line for line in json.loads(capsys.readouterr().out)}
        assert found["canary"]["state"] == "missing"
        assert "it would reach" in found["canary"]["detail"]
        assert "critical-alerts" in found["receivers told to the witness"]["detail"]
        assert "mutes WorkerUnhealthy" in found["silences"]["detail"]
        assert found["prometheus"]["state"] == found["rules"]["state"] == "ok"
        assert server.store.last == 0
        attached["alertmanager"] = target.prometheus
        profile.write_text(yaml.safe_dump({"chaoskit": 1, "target": {"attached": attached}}))
        for more in ([], ["--receivers", "--confirm", "staging"]):
            assert run(["doctor", "--profile", str(profile), "--format", "json", *more]) == ExitCode.USAGE
            found = {line["what"]: line for line in json.loads(capsys.readouterr().out)}
            assert found["alertmanager"]["state"] == "missing"
            assert "nothing at /api/v2/status" in found["alertmanager"]["detail"]
