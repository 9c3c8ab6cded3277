"""Refusing bad data: what a table must satisfy before anything downstream reads it.

When it is checked is decided above.
"""
