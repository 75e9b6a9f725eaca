"""The local stack: its binaries, ports, processes, and the doors behind which every notice ends."""
