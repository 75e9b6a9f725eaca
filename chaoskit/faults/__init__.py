"""Faults and actions: each kind is one class in one module here, which registers itself.

`base` is the protocol: prepare, start, hold and stop, with the undo as data. `holder` is the child process that keeps
one in force, `nursery` forks holders, and `registry` finds the kinds, those of other packages by entry point as well.
Kinds share `processes`, `interface` (a control interface over HTTP), `link`, `batch` (of messages) and `burners`.
"""
