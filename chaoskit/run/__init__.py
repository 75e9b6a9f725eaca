"""Playing a scenario: from what was asked for to a plan, from the plan to a stack, from its steps to a history.

`planning` finds all that can be wrong before anything starts, `prepare` makes the folder and the stack, `runner` plays
the steps of one or more scenarios on it, and `journal` writes events; a fault is on disk, with its undo, before it
takes effect. A run never judges what it sees.
"""
