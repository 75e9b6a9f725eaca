"""`chaoskit witness serve` as a process: it says where it is and what is next, shows no secret, ends in order."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from chaoskit.cli import run
from chaoskit.errors import ExitCode
from tests.witness_examples import TOKEN, bearing, message


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_and_never_shows_its_token(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    words = [sys.executable, "-m", "chaoskit", "witness", "serve", "--port", "0", "--token-file", str(file)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            said = [process.stdout.readline()]
            while "Ctrl-C" not in said[-1]:
                said.append(process.stdout.readline())
                assert said[-1], said
            address = re.search(r"http://127\.0\.0\.1:\d+", said[0])
            assert address is not None
            with bearing() as session:
                body = message("Torn\x1b[2J", "firing")
                url = f"{address[0]}/receiver/critical-alerts"
                assert session.post(url, json=body, timeout=20).status_code == 200
            assert requests.post(f"{address[0]}/receiver/x", json=message(), timeout=20).status_code == 401
            said.append(process.stdout.readline())
        finally:
            process.send_signal(number)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert re.fullmatch(r"\d\d:\d\d:\d\d critical-alerts: firing Torn\\x1b\[2J\n", said[-1])
    assert "heard 1 notices; turned away: 1 token" in rest
    told = "".join(said) + rest
    assert str(file) in told
    assert "chmod o-r" in told
    assert TOKEN not in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "a token is needed"),
        (["--token-file", "nowhere"], "openssl rand"),
        (["--tls-key", "key.pem"], "without --tls-cert"),
    ],
)
def test_it_does_not_start_open_to_others_or_half_configured(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["witness", "serve", "--port", "0", *arguments]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
