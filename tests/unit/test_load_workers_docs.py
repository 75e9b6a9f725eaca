"""The files of docs/load and the page about workers: valid in form, and true to the command and the profile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaoskit.cli.load_worker import load_worker_command
from chaoskit.scenario.model import WORKERS_PORT
from chaoskit.scenario.profile import load_profile

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "load-workers.md").read_text(encoding="utf-8")


def document(name: str) -> Any:
    return yaml.safe_load((DOCS / "load" / name).read_text(encoding="utf-8"))


def options_of(command: list[Any]) -> dict[str, str]:
    """The options of a `chaoskit load-worker` command with their values; click parses them as the command does."""
    assert command[:2] == ["chaoskit", "load-worker"]
    assert all(isinstance(word, str) for word in command), "a number in the list is no argument"
    parser = load_worker_command.make_parser(
        load_worker_command.make_context("load-worker", [], resilient_parsing=True)
    )
    found, rest, _ = parser.parse_args(list(command[2:]))
    assert rest == []
    return found


@pytest.mark.parametrize("name", ["compose.yml", "kubernetes.yml"])
def test_a_file_says_that_it_was_not_run_here(name: str) -> None:
    text = (DOCS / "load" / name).read_text(encoding="utf-8")
    assert "was not run where this" in text.split("\n\n")[0]
    assert f"load/{name}" in PAGE


def test_the_compose_file_starts_workers_again_with_the_secret_and_less_power() -> None:
    """The keys of the Compose specification that it uses, each with a value of its type."""
    found = document("compose.yml")
    assert found.keys() == {"services", "secrets"}
    worker = found["services"]["worker"]
    types = {
        "image": str, "command": list, "user": str, "restart": str, "init": bool, "read_only": bool, "tmpfs": list,
        "cap_drop": list, "security_opt": list, "stop_grace_period": str, "ulimits": dict, "secrets": list,
    }  # fmt: skip
    assert {key: type(value) for key, value in worker.items()} == types
    given = options_of(worker["command"])
    assert given["master"].startswith("${MASTER:?")
    assert int(given["port"]) == WORKERS_PORT
    (secret,) = worker["secrets"]
    assert given["token_file"] == f"/run/secrets/{secret}"
    assert found["secrets"][secret] == {"file": "./load-token"}
    assert worker["restart"] == "always"
    assert re.fullmatch(r"\d+s", worker["stop_grace_period"])


def test_the_deployment_is_one_whose_parts_fit_together() -> None:
    """Kinds, labels, volumes and the secret are those that the API server and the command look for."""
    found = document("kubernetes.yml")
    assert (found["apiVersion"], found["kind"]) == ("apps/v1", "Deployment")
    assert found.keys() == {"apiVersion", "kind", "metadata", "spec"}
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", found["metadata"]["name"])
    template, spec = found["spec"]["template"], found["spec"]["template"]["spec"]
    assert found["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert isinstance(found["spec"]["replicas"], int)
    (worker,) = spec["containers"]
    assert worker.keys() <= {"name", "image", "command", "resources", "securityContext", "volumeMounts"}
    given = options_of(worker["command"])
    assert int(given["port"]) == WORKERS_PORT
    mounts = {one["name"]: one["mountPath"] for one in worker["volumeMounts"]}
    volumes = {one["name"]: one for one in spec["volumes"]}
    assert mounts.keys() == volumes.keys()
    token = Path(given["token_file"])
    assert (str(token.parent), token.name) == (mounts["token"], "load-token")
    text = (DOCS / "load" / "kubernetes.yml").read_text(encoding="utf-8")
    assert f"kubectl create secret generic {volumes['token']['secret']['secretName']} --from-file={token.name}" in text
    assert volumes["token"]["secret"]["defaultMode"] & 0o004 == 0, "load-worker refuses a token that others can read"
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"]
    assert spec.get("restartPolicy", "Always") == "Always"
    assert all(re.fullmatch(r"\d+(m|Mi|Gi)?", str(v)) for one in worker["resources"].values() for v in one.values())


def test_the_profile_of_the_page_is_read_as_it_says() -> None:
    (text,) = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "workers:" in block]
    head = "chaoskit: 1\ntarget: local\nhandles: {role: {worker: {process: worker, label: worker_name}}}\n"
    load = load_profile(head + text, "p.yml").load
    assert load.workers is not None
    assert (load.rate_per_s, load.workers.expect, load.workers.bind, load.workers.port) == (20000, 8, "10.0.0.5", 5557)
