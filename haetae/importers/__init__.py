"""Public data sets: one small module per format reads its tree into entries; the lake is not known here."""
