"""The configuration that runs here: time compressed, every receiver led to a sink of ours, each message marked."""
