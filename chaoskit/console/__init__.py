"""The page beside a game day: what happens now, and the commands for it, in a browser on this machine.

A run never waits for it: everything shown is read from files that runs write, and every command is the command line's
own, begun as a process by itself. Only `cli` imports this package, and only `mirror` imports Locust.

    browser -- http --> server (gatekeeper, pages, stream, commands) -- Unix socket --> mirror (Locust's own web UI)
                           | reads events.jsonl -----------------------------------^
                           '- begins, in a session of its own --> chaoskit run
"""

from __future__ import annotations

PORT = 8089
"""The page's default port: Locust's own."""
