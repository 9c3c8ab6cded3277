"""Lip sync: a mouth that moves to other speech."""
