"""Turning a batch into requests for one generator: policy first, then eligibility, budget, donor and sentence.

How a fake is made of a request is told in `generators.make`.
"""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from assets.gate import Gate, by_clip
from generators.plan import FaceLimits, plan, within_budget
from generators.protocol import Card
from haetae.engine import Row
from haetae.lake import Lake
from haetae.params import Params
from haetae.provenance.ids import seed_of
from haetae.provenance.policy import meet


class Desk:
    """Turns a batch into requests for one generator.

    lesson: row of `lessons` with what the generator learned; None for one that does not learn, or has not yet.
    """

    def __init__(
        self,
        lake: Lake,
        params: Params,
        card: Card,
        batch_key: str,
        media: pa.Table,
        clips: pa.Table,
        tracks: pa.Table,
        utterances: pa.Table,
        groups: pa.Table,
        sources: pa.Table,
        lesson: Row | None = None,
    ) -> None:
        self._params = params
        self._card = card
        self._lesson = lesson
        self._clips = clips.to_pylist()
        self._tracks = by_clip(tracks.to_pylist())
        self._utterances = by_clip(utterances.to_pylist())
        self._gate = Gate(
            lake,
            params,
            card,
            batch_key,
            ("synthesis",),
            media=media.to_pylist(),
            tracks=tracks.to_pylist(),
            groups=groups.to_pylist(),
            sources=sources.to_pylist(),
        )

    def requests(self) -> tuple[list[Row], Counter[str]]:
        """Rows for `MakeFakes`, and how many clips were passed over for which reason."""
        passed_over: Counter[str] = Counter()
        if not self._gate.may_run():
            return [], Counter({"refused_by_policy": len(self._clips)})
        targets = []
        for clip in self._clips:
            reason = self._gate.why_not(clip)
            if reason:
                passed_over[reason] += 1
            else:
                known = {"tracks": self._tracks, "utterances": self._utterances}
                targets.append({**clip, **{name: rows[clip["clip_id"]] for name, rows in known.items()}})
        if self._card.learns and self._lesson is None:
            return [], passed_over + Counter({"not_learned": len(targets)})
        requests = []
        for clip in targets:
            made = self._request(clip, [one for one in targets if self._same_split(one, clip)])
            if isinstance(made, str):
                passed_over[made] += 1
            else:
                requests.append(made)
        kept = within_budget(self._card, requests, self._params.generate.budget)
        passed_over["over_budget"] += len(requests) - len(kept)
        return kept, +passed_over

    def _same_split(self, one: Row, other: Row) -> bool:
        return one["clip_id"] != other["clip_id"] and self._gate.split(one) == self._gate.split(other)

    def _request(self, clip: Row, candidates: list[Row]) -> Row | str:
        """What to ask of the generator for one clip, or why it is passed over."""
        seed = seed_of(self._params.seed, clip["clip_id"], self._card.key)
        knobs = self._params.generate
        limits = FaceLimits(knobs.min_face_px, knobs.max_yaw_deg, knobs.max_pitch_deg)
        planned = plan(self._card, clip, clip["tracks"], clip["utterances"], candidates, seed, limits)
        if planned.reason:
            return planned.reason
        involved = [clip, *([planned.donor] if planned.donor else [])]
        licences = [*map(self._gate.licence, involved), *(one.licence for one in self._card.weights)]
        lesson = self._lesson or {"lesson_id": None, "weights_blob": None}
        return {
            **clip,
            "generator": self._card.key,
            "donor": planned.donor,
            "sentence": planned.sentence,
            "seed": seed,
            "lesson_id": lesson["lesson_id"],
            "learned_blob": lesson["weights_blob"],
            "licence": meet([*licences, *([self._lesson["licence"]] if self._lesson else [])]),
        }
