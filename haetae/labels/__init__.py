"""Statements about samples: what is known by construction or by declaration. Nothing is predicted here."""
