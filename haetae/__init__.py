"""The domain of Haetae: media, faces, voices, labels, detectors and where they came from.

Nothing here knows the orchestrator: no module below this package imports Dagster.
"""

__version__ = "0.1.0"
