"""Serves the API with two processes behind one port, whose metrics begin anew."""

from __future__ import annotations

import uvicorn

from shop import settings

if __name__ == "__main__":
    for file in (settings.DATA / "metrics").glob("*.db"):
        file.unlink()
    uvicorn.run("shop.api:app", host=settings.HOST, port=settings.API_PORT, workers=2, log_level="warning")
