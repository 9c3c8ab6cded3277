"""The declarations of all tables, by part of the data's way."""
