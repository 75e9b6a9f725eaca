"""The plan, pure: the faults and waits of a run, and which alerts must reach which receiver between which instants."""
