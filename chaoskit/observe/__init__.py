"""Observers look, stamp what they see with intervals that certainly hold the truth, and never judge."""
