"""The plan: pure. What happens when, what must be noticed, by whom, between which instants."""
