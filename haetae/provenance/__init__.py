"""Where things come from and what was decided about them: ids, the ledger, sources and the policy gate."""
