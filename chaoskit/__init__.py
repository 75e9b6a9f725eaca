"""Proves that alerts work: real faults, a real Prometheus and Alertmanager, real notices, one verdict."""

__version__ = "0.1.0"
