"""Approved texts: each notice rendered by amtool, kept as a file that a person has read, and compared from then on."""
