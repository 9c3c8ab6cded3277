"""The rules that every generator keeps, judged from what was seen of it; one finding for each.

How it was seen is told in `observe`, what it was asked in `trials`, what its card states in `card_rules`.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from generators.conformance.card_rules import judge_card
from generators.conformance.report import Finding
from generators.conformance.runner import Heard, Seen
from generators.conformance.trials import About, Trial
from generators.protocol import Card

RULES = {
    "card": "states licence, intended use, languages and pinned weights as a person and a gate need them",
    "import": "reading the card loads no model library",
    "load": "loads",
    "lesson": "learns from faces, twice to the same weights",
    "languages": "makes a fake in every language it claims",
    "shape": "gives back the modalities, sizes and lengths that it must",
    "untouched": "every pixel outside the masks is that of the target",
    "labels": "segments agree with the pixels and samples that changed",
    "other_faces": "changes the first face and leaves the others",
    "words": "words lie within the clip",
    "text": "text is changed where its segments say, and nowhere else",
    "metrics": "metrics are finite numbers that can be stored",
    "refusals": "raises Rejected with a reason where something it needs is not there",
    "odd_clips": "takes or refuses short, long, small, large and half-seen clips",
    "determinism": "equal requests give equal bytes, in any call, order and process",
    "random_state": "neither reads nor moves the random state of the process",
    "inputs": "leaves the request as it was",
    "network": "connects to nothing",
    "files": "writes no file outside the temporary folder, and leaves none behind with each fake",
    "speed": "answers in time",
}
"""Every rule, and what holds when it is kept."""
_CONTRACT = {
    "shape": ("modalities", "shape", "length", "samples"),
    "untouched": ("outside_mask", "wide_mask", "empty_mask"),
    "labels": ("video_segments", "audio_segments", "segment_bounds", "segment_order"),
    "other_faces": ("other_face", "track"),
    "words": ("words",),
}
"""Rules of `generators.verify` under the names of this report."""
_REASON = re.compile(r"^[a-z][a-z0-9_]*$")
_BAD_ENDS = ("crashed", "died", "hung", "misused")
_MOST = 6


@dataclass(frozen=True)
class Case:
    """All that is known of a generator. here: the first process; there: the second."""

    card: Card
    trials: Sequence[Trial]
    here: Heard
    there: Heard
    limit_s: float

    def firsts(self, *about: About) -> Iterator[tuple[Trial, Seen]]:
        """Trials with what came of them the first time; those that were never reached are left out."""
        seen = self.here.runs("first")
        for trial in self.trials:
            if trial.name in seen and (not about or trial.about in about):
                yield trial, seen[trial.name]

    def everything(self) -> Iterator[tuple[str, Seen]]:
        """Every observation of both processes, with a name for a person."""
        for heard in (self.here, self.there):
            for (trial, kind), seen in heard.seen.items():
                yield (trial if kind == "first" else f"{trial} ({kind})"), seen


def judge(case: Case) -> tuple[Finding, ...]:
    """One finding for each of `RULES`, in their order."""
    judges: dict[str, Callable[[Case], Finding]] = {
        "card": lambda case: judge_card(case.card),
        "import": _import,
        "load": _load,
        "lesson": _lesson,
        "languages": _languages,
        **{rule: _contract(rule) for rule in _CONTRACT},
        "text": _text,
        "metrics": lambda case: _told(case, "metrics", "metrics_fault", "of finite numbers"),
        "refusals": _refusals,
        "odd_clips": _odd_clips,
        "determinism": _determinism,
        "random_state": _random_state,
        "inputs": _inputs,
        "network": _network,
        "files": _files,
        "speed": _speed,
    }
    return tuple(judges[rule](case) for rule in RULES)


def _finding(
    rule: str,
    evidence: Iterable[str],
    cases: int,
    holds: str,
    figures: Mapping[str, float] | None = None,
    not_asked: str = "nothing was made to judge it by",
) -> Finding:
    faults = list(evidence)
    if faults:
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        return Finding(rule, "broken", faults[0] + more, cases, figures or {}, tuple(faults[:_MOST]))
    if not cases:
        return Finding(rule, "not_asked", not_asked)
    return Finding(rule, "holds", holds, cases, figures or {})


def _import(case: Case) -> Finding:
    seen = case.here.imported
    if not seen:
        broken = case.here.not_loaded
        return _finding("import", [f"{broken['kind']}: {broken['message']}"] if broken else [], 0, "")
    heavy = seen["heavy"]
    faults = [f"importing it loads {', '.join(heavy)}; import them in load"] if heavy else []
    took_s = round(seen["took_s"], 3)
    return _finding("import", faults, 1, f"in {took_s:.2f} s", {"import_s": took_s})


def _load(case: Case) -> Finding:
    if broken := case.here.not_loaded:
        return _finding("load", [f"{broken['kind']}: {broken['message']}"], 1, "")
    if not case.here.loaded:
        return _finding("load", [], 0, "")
    took_s = round(case.here.loaded["took_s"], 3)
    return _finding("load", [], 1, f"in {took_s:.2f} s", {"load_s": took_s})


def _lesson(case: Case) -> Finding:
    """Only for cards that learn; losses are told, not judged: how far they fall is the generator's own test."""
    if not case.card.learns:
        return _finding("lesson", [], 0, "", not_asked="it does not learn")
    taught = [
        seen["lesson"] for heard in (case.here, case.there) if (seen := heard.loaded) and seen["lesson"]
    ]
    differ = len({lesson["sha256"] for lesson in taught}) > 1
    faults = ["two lessons with equal seeds gave other weights"] if differ else []
    curve = [step for lesson in taught[:1] for step in lesson["curve"]]
    if odd := sorted({name for step in curve for name, value in step.items() if not math.isfinite(value)}):
        faults.append(f"{', '.join(odd)}: no finite number")
    took_s = round(taught[0]["took_s"], 1) if taught else 0.0
    told = f"{taught[0]['n_faces']} faces in {took_s:g} s, {len(taught)} lessons alike" if taught else ""
    return _finding("lesson", faults, len(taught), told, {"lesson_s": took_s})


def _languages(case: Case) -> Finding:
    """A clip may be refused for what is said in it; a language is claimed wrongly if all are that it had to take."""
    asked = list(case.firsts("languages"))
    made = Counter(trial.language for trial, seen in asked if seen["outcome"] == "made")
    missed = [(trial, seen) for trial, seen in asked if seen["outcome"] != "made"]
    faults = [
        f"{trial.name}: {_end(seen)}"
        for trial, seen in missed
        if seen["outcome"] in _BAD_ENDS or (trial.must == "make" and not made[trial.language])
    ]
    if not made and not faults:
        return _finding(
            "languages", [], 0, "", not_asked="nothing that is said in its clips can be exchanged"
        )
    told = f"{made.total()} fakes in {', '.join(made)}"
    told += "".join(f"; {trial.name}: refused as {seen['reason']}" for trial, seen in missed)
    return _finding("languages", faults, len(asked), told)


def _contract(rule: str) -> Callable[[Case], Finding]:
    def judged(case: Case) -> Finding:
        faults, figures, n = [], _Figures(), 0
        for trial, seen in case.firsts():
            fault = seen.get("fault")
            if "fault" not in seen or (fault and fault[0] not in _CONTRACT[rule]):
                # The check ended with another rule: nothing is known of this one.
                continue
            if fault:
                faults.append(f"{trial.name}: {fault[0]}: {fault[1]}")
            if rule == "other_faces" and seen.get("track_fault"):
                faults.append(f"{trial.name}: {seen['track_fault']}")
            n += 1
            figures.take(rule, seen)
        if rule in ("untouched", "other_faces") and "video" not in case.card.modalities:
            return _finding(rule, [], 0, "", not_asked="it changes no picture")
        ended = any(seen.get("fault") for _, seen in case.firsts())
        why = "the check of each fake ended with another rule" if ended else "nothing was made to judge it by"
        return _finding(rule, faults, n, figures.told(rule, n), figures.values, why)

    return judged


class _Figures:
    """What is told of a rule that holds."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def take(self, rule: str, seen: Seen) -> None:
        if rule == "labels":
            for modality, error_s in seen["label_error_s"].items():
                name = f"{modality}_error_ms"
                self.values[name] = round(max(self.values.get(name, 0.0), 1000 * error_s), 3)
        if rule == "untouched" and seen["figures"]:
            name = "largest_mask_fraction"
            self.values[name] = max(self.values.get(name, 0.0), seen["figures"]["mask_fraction"])

    def told(self, rule: str, n: int) -> str:
        if rule == "labels" and self.values:
            parts = [f"{k.removesuffix('_error_ms')} within {v:g} ms" for k, v in self.values.items()]
            return f"{n} fakes: {', '.join(parts)}"
        if rule == "untouched" and self.values:
            return f"{n} fakes; masks cover {self.values['largest_mask_fraction']:.1%} of a frame at most"
        return f"{n} fakes"


def _text(case: Case) -> Finding:
    if "text" not in case.card.modalities:
        return _finding("text", [], 0, "", not_asked="it changes no text")
    return _told(case, "text", "text_fault", "with changed words")


def _told(case: Case, rule: str, name: str, holds: str) -> Finding:
    asked = [(trial, seen) for trial, seen in case.firsts() if name in seen]
    faults = [f"{trial.name}: {seen[name]}" for trial, seen in asked if seen[name]]
    return _finding(rule, faults, len(asked), f"{len(asked)} fakes {holds}")


def _refusals(case: Case) -> Finding:
    asked = list(case.firsts("refusals"))
    faults = []
    for trial, seen in asked:
        if seen["outcome"] == "made":
            faults.append(f"{trial.name}: made a fake all the same; raise Rejected")
        elif seen["outcome"] in _BAD_ENDS:
            faults.append(f"{trial.name}: {_end(seen)}; raise Rejected")
    everyone = [(trial, seen) for trial, seen in case.firsts() if seen["outcome"] == "refused"]
    for trial, seen in everyone:
        if not _REASON.match(seen["reason"]) or seen["reason"] == "contract_broken":
            faults.append(f"{trial.name}: reason {seen['reason']!r} is no snake_case word of its own")
        elif not seen["detail"].strip():
            faults.append(f"{trial.name}: refused as {seen['reason']} without a detail for a person")
    told = "; ".join(f"{trial.name}: {seen['reason']}" for trial, seen in asked)
    return _finding("refusals", faults, len(asked), told, not_asked="it needs nothing that could be missing")


def _odd_clips(case: Case) -> Finding:
    asked = list(case.firsts("odd", "two_faces"))
    faults = []
    for trial, seen in asked:
        if seen["outcome"] in _BAD_ENDS:
            faults.append(f"{trial.name}: {_end(seen)}")
        elif trial.must == "make" and seen["outcome"] == "refused":
            faults.append(f"{trial.name}: {_end(seen)}; nothing that it needs is missing")
    refused = [f"{t.name}: {seen['reason']}" for t, seen in asked if seen["outcome"] == "refused"]
    made = sum(seen["outcome"] == "made" for _, seen in asked)
    told = f"{made} of {len(asked)} made" + (f"; refused: {', '.join(refused)}" if refused else "")
    return _finding("odd_clips", faults, len(asked), told)


def _determinism(case: Case) -> Finding:
    faults, n = [], 0
    firsts = case.here.runs("first")
    told = (
        (case.here.runs("again"), "a second call in the same process gave other"),
        (case.here.runs("later"), "a call after other work gave other"),
        (case.there.runs("first"), "another process gave other"),
    )
    for runs, what in told:
        for trial, seen in runs.items():
            first = firsts.get(trial, {})
            if not first.get("hashes"):
                continue
            n += 1
            if seen.get("hashes") is None:
                faults.append(f"{trial}: {what} results: {_end(seen)}")
            elif differ := _differing(first, seen):
                faults.append(f"{trial}: {what} {', '.join(differ)}")
    where = "two processes" if case.there.seen else "one process"
    return _finding("determinism", faults, n, f"{n} repetitions, {where}, every byte equal")


def _random_state(case: Case) -> Finding:
    faults = []
    firsts, agains = case.here.runs("first"), case.here.runs("again")
    for trial, seen in case.here.runs("reseeded").items():
        if not _differing(firsts[trial], seen) and _differing(firsts[trial], agains[trial]):
            faults.append(f"{trial}: what it makes follows the global random state; draw from request.seed")
    looked = [(name, seen) for name, seen in case.everything() if seen["outcome"] in ("made", "refused")]
    for name, seen in looked:
        if seen["random"]:
            faults.append(f"{name}: moves the global state of {', '.join(seen['random'])}")
    return _finding("random_state", faults, len(looked), f"{len(looked)} calls")


def _inputs(case: Case) -> Finding:
    looked = list(case.everything())
    faults = [
        f"{name}: changed {', '.join(seen['inputs'])} in place" for name, seen in looked if seen["inputs"]
    ]
    return _finding("inputs", faults, len(looked), f"{len(looked)} calls")


def _effects(case: Case, kind: str, phases: Sequence[str]) -> Finding:
    looked = list(case.everything())
    places = [("import", case.here.imported), ("load", case.here.loaded or case.here.not_loaded), *looked]
    faults = [
        f"{name}: {one['what']}"
        for name, seen in places
        for one in seen.get("effects", ())
        if one["kind"] == kind and one["phase"] in phases
    ]
    return _finding(kind, dict.fromkeys(faults), len(looked), f"{len(looked)} calls")


def _network(case: Case) -> Finding:
    found = _effects(case, "network", ("import", "load", "generate"))
    started = _effects(case, "processes", ("import", "load", "generate")).evidence
    if found.state != "holds" or not started:
        return found
    told = f"{found.detail}; what the programs do that it starts is not seen: {started[0]}"
    return replace(found, detail=told, figures={"programs_started": len(started)})


def _files(case: Case) -> Finding:
    # Weights are laid out for reading when they are loaded, so only what comes before and after counts.
    found = _effects(case, "files", ("import", "generate"))
    faults = list(found.evidence)
    for name, seen in case.everything():
        faults += [f"{name}: leaves {one} in the working folder" for one in seen.get("cwd_files", ())]
    left = [seen["tmp_files"] for _, seen in case.firsts("languages") if "tmp_files" in seen]
    if len(left) > 1 and all(after > before for before, after in pairwise(left)):
        faults.append(f"every fake leaves files in the temporary folder: {left[-1]} after {len(left)} fakes")
    told = f"{found.cases} calls, {max(left, default=0)} left in the temporary folder"
    return _finding("files", dict.fromkeys(faults), found.cases, told)


def _speed(case: Case) -> Finding:
    standard = {trial.name for trial, _ in case.firsts("languages")}
    hung = [f"{name}: {seen['detail']}" for name, seen in case.everything() if seen["outcome"] == "hung"]
    runs = [
        seen
        for (trial, kind), seen in case.here.seen.items()
        if trial in standard and kind in ("first", "again") and seen["outcome"] == "made"
    ]
    if not runs:
        return _finding("speed", hung, len(hung), "")
    # The first fake also pays for whatever is loaded with the first one.
    cpu_s = statistics.median(seen["cpu_s"] for seen in runs[1:] or runs)
    peak_mib = max(seen["peak_mib"] for seen in runs)
    per_minute = 60 / max(cpu_s, 1e-3)
    told = f"{per_minute:.1f} fakes per minute per core, peak memory {peak_mib:.0f} MiB"
    figures = {
        "fakes_per_minute_per_core": round(per_minute, 2),
        "peak_memory_mib": round(peak_mib, 1),
        "cpu_s_per_fake": round(cpu_s, 4),
        "longest_s": round(max(seen["wall_s"] for seen in runs), 3),
    }
    return _finding("speed", hung, len(runs), told, figures)


def _differing(one: Seen, other: Seen) -> list[str]:
    mine, theirs = one.get("hashes") or {}, other.get("hashes") or {}
    return [name for name in mine if mine[name] != theirs.get(name)]


def _end(seen: Seen) -> str:
    if seen["outcome"] == "refused":
        return f"refused as {seen['reason']}: {seen['detail']}"
    if seen["outcome"] in ("died", "hung"):
        return f"{seen['outcome']}: {seen['detail']}"
    return f"{seen['outcome']}: {seen['reason']}: {seen['detail']}"
