"""A first scenario for an alert: fault from a known scenario, receivers from the promise, windows as comments."""
