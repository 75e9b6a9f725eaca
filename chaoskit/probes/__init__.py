"""Probes of alert rules: series on either side of each threshold, and how the rule answers them.

    derive    from a rule to its probes: series that bring what it measures to a level, as promtool says
    ask       the probes' answers, by promtool: pending and firing, from when to when, with which labels and value
    text      probes and answers as approved/ALERT/levels.txt, to be read once by a person
    levels    what `check` says of them: levels that are promised, answers that are approved

A probe that was approved keeps its series: a changed rule answers the same series differently.
"""
