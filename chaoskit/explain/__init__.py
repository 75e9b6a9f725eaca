"""The receivers that are told of an alert, when, over which route, and what mutes it; from the texts alone. Pure."""
