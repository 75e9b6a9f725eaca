"""The payment service: another team's, so the shop only knows its address."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from shop import settings

app = FastAPI()


@app.post("/pay/{number}")
async def pay(number: int) -> dict[str, int]:
    """Every order can be paid."""
    return {"paid": number}


if __name__ == "__main__":
    uvicorn.run(app, host=settings.HOST, port=settings.PAYMENTS_PORT, log_level="warning")
