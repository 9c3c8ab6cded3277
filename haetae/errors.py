"""The two ways in which domain code says no.

`Rejected` is about one row: the engine turns it into a quarantine row and the batch goes on.
`UsageError` is about what a person typed or configured: the command line prints it and exits 2.
Neither is for bugs: those keep their own exception types and their traceback.
"""


class Rejected(Exception):
    """One item cannot be used; `reason` is a stable snake_case word, `detail` is for a person."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["Rejected"], tuple[str, str]]:
        return (type(self), (self.reason, self.detail))


class UsageError(Exception):
    """Bad usage or bad input: the message says what was wrong, where, and what mends it."""


class GateClosed(Exception):
    """A gate said no (policy, quality or promotion); the command line exits 3."""
