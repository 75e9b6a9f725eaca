"""Measurements of chaoskit itself, one command each: `python -m benchmarks.NAME --help` from the repository.

What each figure means, and what was measured where, stands in docs/figures.md.
"""
