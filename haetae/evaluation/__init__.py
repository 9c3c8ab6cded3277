"""How good a detector is: metrics, intervals, scorecards by slice, and the promotion gate. It trains nothing."""
