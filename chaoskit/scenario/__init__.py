"""Scenarios and profiles: their format, read from YAML with every problem at its line, as frozen dataclasses.

`model` is what comes of it, `fields` the way of reading a mapping key by key, `catalog` finds files by name,
`overrides` applies `--set`, and `schema` writes the JSON Schemas for editors. Which kinds of fault and handle there
are is asked of their registries; a kind's own settings are validated by the kind.
"""
