"""Where a generator runs when not in this process: an interpreter of its own, a container, a cluster.

Requests and results travel as files (`exchange`); the same `worker` makes the fakes wherever it was started.
What a fake must be is checked by the parent (`verify`), which trusts nothing that a worker writes.
"""
