"""Prompts of one place: who or what is to be seen, in the words of the locale packs.

What is painted with them is not known here.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from haetae.locales import languages, load
from haetae.provenance.ids import seed_of

About = Literal["people", "scenes"]
_BEFORE = {"people": "portrait photograph of", "scenes": "photograph of"}


def prompt_for(about: About, language: str, seed: int) -> tuple[str, str]:
    """A prompt drawn by the seed, and what is to be avoided.

    language: of the clip; one without a locale pack takes that of a language drawn by the seed.
    """
    known = languages()
    rng = np.random.default_rng(seed_of("prompt", about, seed))
    chosen = language if language in known else known[int(rng.integers(len(known)))]
    prompts = load(chosen).prompts
    subjects = prompts.people if about == "people" else prompts.scenes
    subject, light = (str(one[int(rng.integers(len(one)))]) for one in (subjects, prompts.light))
    return f"{_BEFORE[about]} {subject}, {light}, sharp, natural colours", ", ".join(prompts.avoid)
