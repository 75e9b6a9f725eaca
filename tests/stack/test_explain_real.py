"""Who is said to hear of an alert is who hears of it by the real amtool."""

from __future__ import annotations

import subprocess

import pytest

from chaoskit import bundle
from chaoskit.alerting.config import load_config
from chaoskit.explain.recipients import Recipients
from chaoskit.stack.binaries import Binaries

pytestmark = pytest.mark.stack


def test_every_shipped_alert_goes_to_the_receivers_that_amtool_names(binaries: Binaries) -> None:
    recipients = Recipients(load_config(bundle.folder(), complete=True))
    file = bundle.folder() / "alertmanager.yml"
    asked = 0
    for subject in recipients.subjects:
        labels = [f"{name}={value}" for name, value in subject.alert.known.items()]
        command = [str(binaries.amtool), "config", "routes", "test", f"--config.file={file}", *labels]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
        assert [each.receiver for each in recipients.reach(subject).heard] == said.split(","), subject.rule.alert
        asked += 1
    assert asked > 20
