"""The jobs that workers do."""

from __future__ import annotations

from functools import cache

import psycopg

from shop import settings

_KEPT = 50


@cache
def _database() -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(settings.dsn(), autocommit=True, application_name="shop-worker")


def ship(number: int) -> None:
    """Notes that an order has left, and writes its invoice; the oldest invoices go."""
    if _database().closed:
        _database.cache_clear()
    _database().execute("UPDATE orders SET shipped = now() WHERE id = %s", (number,))
    (settings.UPLOADS / f"invoice-{number}.txt").write_text(f"Invoice {number}\n" + "1 x tea\n" * 100)
    (settings.UPLOADS / f"invoice-{number - _KEPT}.txt").unlink(missing_ok=True)
