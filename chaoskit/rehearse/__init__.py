"""Rehearsing alert rules on scripted series: no application, but a real Prometheus, Alertmanager and receivers."""
