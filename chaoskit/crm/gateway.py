"""The only way to the upstream: deadline, retries and the circuit breaker, in the API's event loop.

    API request ----\
                     gateway: [deadline [retries [breaker [one connection to the proxy]]]]
    worker --HTTP---/

One process owns the breaker, so its state is one truth; workers hand their calls to it. (Sharing the state through
memory and a lock would let a stopped worker freeze all.) The deadline covers all attempts of a request, so
an unanswered call uses it up and is not retried. A 4xx is the request's fault: not retried, not counted.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import stamina
from stamina.instrumentation import set_on_retry_hooks

from chaoskit.crm import physics
from chaoskit.crm.breaker import Breaker
from chaoskit.crm.config import Clock
from chaoskit.crm.contract import BREAKER, STATES
from chaoskit.crm.emit import Emitter
from chaoskit.crm.wiring import HOST


class UpstreamFailed(Exception):
    """The upstream answered 5xx, reset, or gave a probe no answer; worth another attempt."""


class Rejected(Exception):
    """The upstream answered 4xx: it works and does not want this request."""


class DeadlineExceeded(Exception):
    """The request's deadline passed without an answer."""


class Gateway:
    """Calls the upstream through the proxy's port."""

    def __init__(self, proxy_port: int, clock: Clock, emitter: Emitter) -> None:
        self._port = proxy_port
        self._clock = clock
        self._emitter = emitter
        self._breaker = Breaker(clock.now_vs, self._changed)
        self.publish_state()
        # stamina's own hook counts scheduled retries in a global registry; ours (below) counts their results.
        set_on_retry_hooks([])

    def publish_state(self) -> None:
        """Report the breaker's state (again): a restarted metrics process does not know it."""
        self._emitter.level("insa_circuit_breaker_state", STATES[self._breaker.state], BREAKER)

    def _changed(self, before: str, after: str) -> None:
        self._emitter.inc("insa_circuit_breaker_transitions_total", BREAKER, before, after)
        self.publish_state()

    async def call(self, path: str, body: dict[str, Any], deadline_vs: float) -> dict[str, Any]:
        """The upstream's answer; raises UpstreamFailed, Rejected, BreakerOpen or DeadlineExceeded."""
        end_vs = self._clock.now_vs() + deadline_vs
        attempts = stamina.retry_context(
            on=UpstreamFailed,
            attempts=physics.UPSTREAM_ATTEMPTS,
            timeout=None,
            wait_initial=self._clock.real_s(physics.RETRY_WAIT_VS),
            wait_max=self._clock.real_s(physics.RETRY_WAIT_MAX_VS),
            wait_jitter=self._clock.real_s(physics.RETRY_JITTER_VS),
        )
        data = json.dumps(body).encode()
        answer: dict[str, Any] = {}
        async for attempt in attempts:
            with attempt:
                answer = await self._attempt(attempt.num, path, data, end_vs)
        return answer

    async def _attempt(self, number: int, path: str, data: bytes, end_vs: float) -> dict[str, Any]:
        if self._clock.now_vs() >= end_vs:
            raise DeadlineExceeded(f"{path}: no time was left for attempt {number}")
        permit = self._breaker.admit()
        remaining_vs = end_vs - self._clock.now_vs()
        limit_vs = remaining_vs if permit.limit_vs is None else min(remaining_vs, permit.limit_vs)
        result = "failure"
        try:
            async with asyncio.timeout(self._clock.real_s(limit_vs)):
                status, text = await _post(self._port, path, data)
            if 400 <= status < 500:
                permit.answered()
                raise Rejected(f"{path}: the upstream answered {status}")
            if status >= 500:
                raise UpstreamFailed(f"the upstream answered {status}")
            permit.settle(failed=False)
            result = "success"
            answer: dict[str, Any] = json.loads(text)
            return answer
        except TimeoutError:
            permit.settle(failed=True)
            if limit_vs < remaining_vs:
                raise UpstreamFailed(f"{path}: the probe got no answer within {limit_vs:g} virtual s") from None
            raise DeadlineExceeded(f"{path}: no answer before the deadline") from None
        except (OSError, EOFError, UpstreamFailed) as error:
            permit.settle(failed=True)
            raise UpstreamFailed(f"{path}: {error}") from None
        finally:
            permit.withdrawn()  # counts only when none of the above has been said
            if number > 1:
                self._emitter.inc("insa_retry_attempts_total", result)


async def _post(port: int, path: str, data: bytes) -> tuple[int, bytes]:
    """One request on a connection of its own; raises OSError or EOFError when it breaks off."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(
            b"POST %s HTTP/1.1\r\nhost: upstream\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (path.encode(), len(data), data)
        )
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    lines = head.split(b"\r\n")
    lengths = [int(line.split(b":", 1)[1]) for line in lines if line.lower().startswith(b"content-length:")]
    if not lines[0].startswith(b"HTTP/1.1 ") or lengths != [len(body)]:
        raise EOFError("the upstream's answer broke off")
    return int(lines[0].split(b" ")[1]), body
