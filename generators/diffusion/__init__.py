"""Diffusion models: one that the pipeline trains on its own faces, and pretrained ones with prompts of the locales."""
