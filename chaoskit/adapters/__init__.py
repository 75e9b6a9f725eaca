"""Adapters: by which way a handle of a profile is reached, and the faults that act through it; one file each.

The same rule holds for each: `prepare` reads and touches nothing, the undo token with the prior state is on disk before
the effect, the effect is measured where it acts, the undo needs the token alone, touches only what carries the
fault's id and is seen to be gone. The effect ends by itself on the target after the fault's maximum, or the adapter
is `endless` there, and a run wants a confirmation of its own. Other packages bring adapters by the entry point group
`chaoskit.adapters`.
"""
