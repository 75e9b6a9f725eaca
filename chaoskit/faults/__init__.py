"""Faults and actions: each kind is one class, which registers itself; kinds on one sort of thing share a module.

`base` is the protocol: prepare, start, hold and stop, with the undo as data. `fork_server` forks the child processes
that keep one in force each, and `registry` finds the kinds, those of other packages by entry point as well. Kinds share
`processes`, and `control_api`, a target's control interface over HTTP.
"""
