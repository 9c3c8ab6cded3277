"""Marks on what leaves the store: invisible watermarks in pictures and sound, a signed manifest, a sidecar.

What may leave is decided by the policy gate; what arrives with a manifest is read in `media.manifest`.
"""
