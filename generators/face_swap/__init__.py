"""Face swaps: another face, or the same face altered, in the place of a face."""
