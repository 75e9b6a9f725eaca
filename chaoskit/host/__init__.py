"""Processes and ports of this machine: children that end with the one that started them, free ports on loopback."""
