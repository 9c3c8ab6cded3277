"""Combinations: several modalities changed by one plan."""
