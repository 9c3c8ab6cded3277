"""Running one trial on a generator, and writing down what happened; whether that is right is told in `rules`.

It runs in the child process (`child`), so that whatever a plug-in does stays there.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generators.conformance.clips import as_shown
from generators.conformance.trials import Trial
from generators.conformance.watch import Watch, global_states
from generators.protocol import Card, ClipView, FakeRequest, FakeResult, Generator, Segment, Word
from generators.segments import FPS, audio_segments, changed_frames, video_segments
from generators.verify import verify
from haetae.errors import Rejected, UsageError
from haetae.provenance.ids import canonical_json

Seen = dict[str, Any]
FIELDS = ("frames", "masks", "audio", "segments", "words", "text", "track_id", "metrics")


def request_of(trial: Trial, clips: Mapping[str, ClipView]) -> FakeRequest:
    """The request of a trial, with arrays of its own.

    Who speaks the target's language does so too where that is told as another.
    """
    target, lent = clips[trial.target.clip], trial.donor
    donor = None
    if lent is not None:
        clip = clips[lent.clip]
        donor = as_shown(clip, lent, trial.language if clip.language == target.language else clip.language)
    return FakeRequest(
        target=as_shown(target, trial.target, trial.language),
        seed=trial.seed,
        language=trial.language,
        donor=donor,
        sentence=trial.sentence,
    )


def observe(generator: Generator, request: FakeRequest, watch: Watch) -> Seen:
    """Ask for one fake and note what came: JSON values only.

    outcome: "made", "refused" (Rejected: reason and detail), "misused" (UsageError), "crashed"; wall_s, cpu_s;
    inputs: what of the request was changed in place; random: global random states that were moved;
    effects: what the watch saw. Where a fake was made also what `judged` tells of it.
    """
    before, states = _inputs(request), global_states()
    started, worked = time.perf_counter(), _processor_s()
    result, seen = _asked(generator, request, watch)
    seen |= {"wall_s": time.perf_counter() - started, "cpu_s": _processor_s() - worked}
    moved, after = global_states(), _inputs(request)
    seen["random"] = [name for name, state in states.items() if moved[name] != state]
    seen["inputs"] = [name for name, value in before.items() if after[name] != value]
    seen["effects"] = watch.take()
    if seen["outcome"] == "made" and not seen["inputs"]:
        seen |= judged(generator.card, request, result)
    return seen


def _processor_s() -> float:
    """Processor time of this process and of the programs that it has waited for."""
    return time.process_time() + sum(os.times()[2:4])


def _asked(generator: Generator, request: FakeRequest, watch: Watch) -> tuple[Any, Seen]:
    try:
        with watch.armed("generate"):
            return generator.generate(request), {"outcome": "made", "reason": "", "detail": ""}
    except Rejected as no:
        return None, {"outcome": "refused", "reason": no.reason, "detail": no.detail}
    except UsageError as error:
        return None, {"outcome": "misused", "reason": "UsageError", "detail": str(error)[:500]}
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{str(error)[:300]} ({at.name}, {at.filename.rsplit('/', 1)[-1]} line {at.lineno})"
        return None, {"outcome": "crashed", "reason": type(error).__name__, "detail": detail}


def judged(card: Card, request: FakeRequest, result: Any) -> Seen:
    """What a fake is like: its fields' hashes, the rule of the contract that it breaks, and figures.

    fault: [rule, detail] or None; figures: of the contract's check; label_error_s: how far the nearest ends of
    stated and measured segments lie apart at most, by modality; words_fault, text_fault, metrics_fault,
    track_fault: texts or None.
    """
    told: Seen = {"fault": None, "figures": {}, "label_error_s": {}, "hashes": {}}
    if not isinstance(result, FakeResult):
        return {**told, "fault": ["shape", f"gave back {type(result).__name__}, not a FakeResult"]}
    try:
        told["hashes"] = hashes(result)
        told["metrics_fault"] = _metrics_fault(result)
        told["text_fault"] = _text_fault(card, request.target, result)
        told["track_fault"] = _track_fault(request.target, result)
        told["figures"] = verify(card, request, result).as_metrics()
        told["label_error_s"] = _label_errors(request.target, result)
    except Rejected as no:
        rule, _, detail = no.detail.partition(": ")
        told["fault"] = [rule, detail]
    except Exception as error:
        told["fault"] = ["shape", f"cannot be checked: {type(error).__name__}: {str(error)[:200]}"]
    return told


def hashes(result: FakeResult) -> dict[str, str]:
    """A hash of every field of a result; equal fields have equal hashes, in any process."""
    return {name: _hash(getattr(result, name)) for name in FIELDS}


def _hash(value: Any) -> str:
    sha = hashlib.blake2b(digest_size=16)
    if isinstance(value, np.ndarray):
        sha.update(f"{value.dtype} {value.shape}".encode())
        sha.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        sha.update(repr(sorted((str(k), repr(v)) for k, v in value.items())).encode())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        sha.update(repr([astuple(one) for one in value]).encode())
    else:
        sha.update(repr(value).encode())
    return sha.hexdigest()


def _inputs(request: FakeRequest) -> dict[str, str]:
    found = {"params": _hash(dict(request.params))}
    for who, clip in (("target", request.target), ("donor", request.donor)):
        if clip is not None:
            found |= {f"{who}.frames": _hash(clip.frames), f"{who}.audio": _hash(clip.audio)}
            for face in clip.faces:
                found[f"{who} face {face.track_id}"] = _hash(face.mesh) + _hash(face.found)
    return found


def _metrics_fault(result: FakeResult) -> str | None:
    for name, value in result.metrics.items():
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            return f"metric {name} is {value!r}, which is no finite number"
    try:
        canonical_json(dict(result.metrics))
    except (TypeError, ValueError) as error:
        return f"the metrics cannot be stored: {error}"
    return None


def _track_fault(target: ClipView, result: FakeResult) -> str | None:
    if result.track_id is None or not target.faces or result.track_id == target.faces[0].track_id:
        return None
    return f"changed face {result.track_id}; the first face, {target.faces[0].track_id}, is the one to change"


def _text_fault(card: Card, target: ClipView, result: FakeResult) -> str | None:
    """What is wrong with a changed text: it has segments, and the words differ there and nowhere else."""
    if "text" not in card.modalities:
        return None
    if not isinstance(result.text, str) or not result.text.strip():
        return "the card claims text and there is none"
    segments = [one for one in result.segments if one.modality == "text"]
    if not segments:
        return "the text is changed and no segment says when"
    if not (target.words and result.words):
        return None
    for word in _changed_words(target.words, result.words):
        if not any(one.start_s - 1 / FPS <= _middle(word) <= one.end_s + 1 / FPS for one in segments):
            return f"{word.word!r} at {word.start_s:.2f} s is changed, outside every text segment"
    changed = _changed_words(target.words, result.words)
    for one in segments:
        if not any(one.start_s - 1 / FPS <= _middle(word) <= one.end_s + 1 / FPS for word in changed):
            return f"no word is changed in the text segment from {one.start_s:.2f} to {one.end_s:.2f} s"
    return None


def _middle(word: Word) -> float:
    return (word.start_s + word.end_s) / 2


def _changed_words(before: Sequence[Word], after: Sequence[Word]) -> list[Word]:
    """Words of either text that the other does not have there; by place where there are as many as before."""
    if len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return [word for one, other in pairs if one.word != other.word for word in (one, other)]
    match = SequenceMatcher(None, [w.word for w in before], [w.word for w in after], autojunk=False)
    changed: list[Word] = []
    for kind, a1, a2, b1, b2 in match.get_opcodes():
        if kind != "equal":
            changed += [*before[a1:a2], *after[b1:b2]]
    return changed


def _label_errors(target: ClipView, result: FakeResult) -> dict[str, float]:
    errors = {}
    if result.frames is not None and target.frames is not None:
        measured = video_segments(changed_frames(target.frames, result.frames))
        errors["video"] = _farthest(result.segments, measured, "video")
    if result.audio is not None and target.audio is not None:
        errors["audio"] = _farthest(result.segments, audio_segments(target.audio, result.audio), "audio")
    return errors


def _farthest(stated: Sequence[Segment], measured: Sequence[Segment], modality: str) -> float:
    """Largest distance from an end of a stated segment to the nearest end of a measured one, seconds."""
    ends: NDArray[np.float64] = np.array([end for one in measured for end in (one.start_s, one.end_s)])
    own = [end for one in stated if one.modality == modality for end in (one.start_s, one.end_s)]
    return round(max((float(np.abs(ends - end).min()) for end in own), default=0.0), 6)
