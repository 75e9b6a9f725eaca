"""The practice target: a small CRM with workers, a queue, a cache, a database and a link to an upstream; all can break.

`python -m chaoskit.crm --config FILE` serves it on loopback and prints its addresses as one line of JSON. It lives in
compressed time, shows metrics, and has a control interface for faults. Nothing but the local stack knows of it.
"""
