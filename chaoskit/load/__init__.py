"""Traffic for a run: Locust in child processes of its own, counted so that a frozen target cannot look quiet.

The parent side is `model`, `messages`, `processes`, `tally` and `engine`. Everything that imports Locust
(`child` and what it imports) runs in the child only: Locust patches sockets, threads and time of the whole process at
import.
"""
