"""Alert configuration as data: rules, routes, inhibitions, receivers, the promise, and the windows that follow.

Read once from files in Prometheus's and Alertmanager's own formats, with every problem at its place. Pure: the plan,
`check`, `explain`, `diff` and the verifier all ask here which labels an alert has, where it is routed, and between
which instants it must be noticed. Expressions are compressed in time here as well.
"""
