"""Recorded histories of real runs, with their verdicts; how they are made is in README.md and `recipes.py`."""
