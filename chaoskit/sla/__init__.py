"""Service levels: what was promised for a month or a quarter, what came of it, and the evidence kept for years.

    targets.yml -> targets ----.                        sla.db (evidence: slices of five minutes)
    Prometheus  -> source, counters, uptime -> record ---> store --> compute (windows, arithmetic) --> report

The store holds evidence, never a percentage: seconds up, down and unknown, events good and all. A month, another
zone, a window that was planned, a changed target are then sums over slices, long after Prometheus forgot its samples.
"""
