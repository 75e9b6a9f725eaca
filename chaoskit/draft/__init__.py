"""A first scenario for an alert: its fault from what is known, its receivers from the promise, its windows said."""
