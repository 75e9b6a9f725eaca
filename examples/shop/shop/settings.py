"""Where the parts of the shop find each other, from the environment that supervisord gives them."""

from __future__ import annotations

import os
from pathlib import Path

HOST = "127.0.0.1"
REDIS = os.environ.get("SHOP_REDIS", "")
API_PORT = int(os.environ.get("SHOP_API_PORT", "0"))
PAYMENTS_PORT = int(os.environ.get("SHOP_PAYMENTS_PORT", "0"))
METRICS_PORT = int(os.environ.get("SHOP_METRICS_PORT", "0"))
PAGER_PORT = int(os.environ.get("SHOP_PAGER_PORT", "0"))
DATA = Path(os.environ.get("SHOP_DATA", "."))
UPLOADS = DATA / "uploads"
UPLOADS_QUOTA = 64 * 2**20
QUEUE = "orders"
WORKERS_KEY = "shop:workers"
"""A hash in Redis: each worker's name, and when it last said that it lives."""


def dsn() -> str:
    """The connection string of PostgreSQL, a secret that lies in a file."""
    return (DATA / "secrets" / "dsn").read_text().strip()
