"""Measurements beside what one would use instead; run with `make bench`. Not tests: machines are noisy."""
