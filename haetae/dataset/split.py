"""Which clips belong together, and which split each group is in.

What identifies a clip (its identity and media keys) is decided by the caller.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haetae.provenance.ids import digest

Row = dict[str, Any]

FRACTIONS: Mapping[str, float] = {"train": 0.5, "val": 0.2, "test": 0.3}
SPLITS = tuple(FRACTIONS)
STRONGEST_FIRST = ("test", "val", "train")
"""What a linked set gets that data sets put into several splits: a benchmark stays what it is."""


class Forest:
    """Disjoint sets of keys; the root of a set is its smallest key, whatever the order of unions."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, key: str) -> str:
        root = key
        while self._parent.setdefault(root, root) != root:
            root = self._parent[root]
        while self._parent[key] != root:
            self._parent[key], key = root, self._parent[key]
        return root

    def join(self, keys: Iterable[str]) -> None:
        roots = {self.find(key) for key in keys}
        smallest = min(roots)
        for root in roots:
            self._parent[root] = smallest


@dataclass(frozen=True)
class _Known:
    """Groups that already have a split: the group of every key, the split of every group."""

    group_of: dict[str, str]
    split_of: dict[str, str]
    languages: Mapping[str, Counter[str]]


def assign_groups(
    clips: Sequence[Mapping[str, Any]],
    known: Sequence[Mapping[str, Any]],
    fractions: Mapping[str, float] = FRACTIONS,
) -> list[Row]:
    """Link clips that share a key and give every linked set one split.

    clips: rows with clip_id, keys (such as `identity:x`, `media:y`; never empty), language and, where a data
    set gives one, `official`: the split that its linked set gets; of several the first of STRONGEST_FIRST.
    known: rows with keys, group_id, split and, where known, language: groups keep split and name.
    fractions: share of the groups of each language wanted in each split.

    Returns one row per clip, sorted by clip_id: clip_id, group_id, keys (sorted), split, reason.
    `split` is None with reason `bridges_splits` where a clip would tie groups of different splits
    together, and with `official_split_taken` where its linked set is already in another split than the official
    one; all other clips of the batch are placed as if it had not come. A new set that touches
    a known group takes that group's name and split; any other is named by its smallest key and goes,
    in the order of the hash of its name, to the split that its language lacks most. The result does
    not depend on the order of the rows.

    Raises: ValueError for a clip without keys, a clip given twice, or known rows that contradict.
    """
    _check_clips(clips)
    past = _read_known(known)
    keys = {clip["clip_id"]: sorted(set(clip["keys"])) for clip in clips}
    language = {clip["clip_id"]: str(clip["language"]) for clip in clips}
    official = {clip["clip_id"]: clip["official"] for clip in clips if clip.get("official")}
    bridges = {clip_id for clip_id, ks in keys.items() if len(_splits_touched(ks, past)) > 1}

    forest = Forest()
    for group_keys in _keys_by_group(past).values():
        forest.join(group_keys)
    for clip_id, ks in keys.items():
        if clip_id not in bridges:
            forest.join(ks)
    members: dict[str, list[str]] = defaultdict(list)
    for clip_id in sorted(keys):
        if clip_id not in bridges:
            members[forest.find(keys[clip_id][0])].append(clip_id)

    rows = [_row(c, min(keys[c]), keys[c], None, "bridges_splits") for c in bridges]
    fresh: dict[str, str] = {}
    for name, ids in members.items():
        linked = {past.group_of[k] for c in ids for k in keys[c] if k in past.group_of}
        splits = {past.split_of[group] for group in linked}
        if len(splits) > 1:
            rows += [_row(c, name, keys[c], None, "bridges_splits") for c in ids]
        elif linked:
            rows += [_joined(c, min(linked), keys[c], min(splits), official.get(c)) for c in ids]
        elif wanted := {official[c] for c in ids if c in official}:
            split = next(one for one in STRONGEST_FIRST if one in wanted)
            rows += [_joined(c, name, keys[c], split, official.get(c)) for c in ids]
        else:
            fresh[name] = _main_language(language[c] for c in ids)
    placed = _place(fresh, _known_counts(past), fractions)
    rows += [_row(c, name, keys[c], split, None) for name, split in placed.items() for c in members[name]]
    return sorted(rows, key=lambda row: row["clip_id"])


def _joined(clip_id: str, group_id: str, keys: list[str], split: str, official: str | None) -> Row:
    """A clip of a set whose split is fixed; left out where its data set puts it into another one."""
    if official not in (None, split):
        return _row(clip_id, group_id, keys, None, "official_split_taken")
    return _row(clip_id, group_id, keys, split, None)


def _row(clip_id: str, group_id: str, keys: list[str], split: str | None, reason: str | None) -> Row:
    return {"clip_id": clip_id, "group_id": group_id, "keys": keys, "split": split, "reason": reason}


def _check_clips(clips: Sequence[Mapping[str, Any]]) -> None:
    seen: set[str] = set()
    for clip in clips:
        if not clip["keys"]:
            raise ValueError(f"clip {clip['clip_id']} has no key: give it at least its media key")
        if clip["clip_id"] in seen:
            raise ValueError(f"clip {clip['clip_id']} is given twice")
        seen.add(clip["clip_id"])


def _read_known(known: Sequence[Mapping[str, Any]]) -> _Known:
    """Index the known rows. A clip may since have tied two known groups of one split: both keep their names."""
    group_of: dict[str, str] = {}
    split_of: dict[str, str] = {}
    split_of_key: dict[str, str] = {}
    languages: dict[str, Counter[str]] = defaultdict(Counter)
    for row in known:
        group, split = str(row["group_id"]), row["split"]
        if split is None:
            continue
        if split_of.setdefault(group, split) != split:
            raise ValueError(f"group {group} is known in both {split_of[group]} and {split}")
        if row.get("language") is not None:
            languages[group][str(row["language"])] += 1
        for key in row["keys"]:
            if split_of_key.setdefault(key, split) != split:
                raise ValueError(f"key {key} is known in both {split_of_key[key]} and {split}")
            group_of[key] = min(group, group_of.get(key, group))
    return _Known(group_of, split_of, languages)


def _keys_by_group(past: _Known) -> dict[str, list[str]]:
    by_group: dict[str, list[str]] = defaultdict(list)
    for key, group in past.group_of.items():
        by_group[group].append(key)
    return by_group


def _splits_touched(keys: Iterable[str], past: _Known) -> set[str]:
    return {past.split_of[past.group_of[key]] for key in keys if key in past.group_of}


def _main_language(languages: Iterable[str]) -> str:
    counts = Counter(languages)
    return min(counts, key=lambda language: (-counts[language], language))


def _known_counts(past: _Known) -> dict[str, Counter[str]]:
    """How many known groups each language has in each split; '' where a group's language is not told."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for group, split in past.split_of.items():
        spoken = past.languages.get(group)
        counts[_main_language(spoken.elements()) if spoken else ""][split] += 1
    return counts


def _place(
    fresh: Mapping[str, str], counts: dict[str, Counter[str]], fractions: Mapping[str, float]
) -> dict[str, str]:
    """The split of each new group (name → language): the one its language lacks most, in hash order."""
    placed: dict[str, str] = {}
    names = sorted(fresh, key=lambda name: (digest("split", name), name))
    expected = {language: counts[language].total() for language in set(fresh.values())}
    for language in fresh.values():
        expected[language] += 1
    for name in names:
        have = counts[fresh[name]]
        lack = {s: share * expected[fresh[name]] - have[s] for s, share in fractions.items() if share > 0}
        placed[name] = max(lack, key=lambda split: (round(lack[split], 9), fractions[split]))
        have[placed[name]] += 1
    return _fill_empty_splits(placed, fresh, counts, names, fractions)


def _fill_empty_splits(
    placed: dict[str, str],
    fresh: Mapping[str, str],
    counts: Mapping[str, Counter[str]],
    names: Sequence[str],
    fractions: Mapping[str, float],
) -> dict[str, str]:
    """Move new groups so that no split is empty over all languages, while another can spare one."""
    total = Counter(split for per in counts.values() for split in per.elements())
    for wanted in sorted((s for s, share in fractions.items() if share > 0), key=lambda s: -fractions[s]):
        movable = [name for name in names if total[placed[name]] > 1]
        if total[wanted] > 0 or not movable:
            continue
        # The language with most groups in the giving split loses least by giving one.
        giver = max(movable, key=lambda name: (counts[fresh[name]][placed[name]], total[placed[name]]))
        counts[fresh[giver]][placed[giver]] -= 1
        total[placed[giver]] -= 1
        placed[giver] = wanted
        counts[fresh[giver]][wanted] += 1
        total[wanted] += 1
    return placed
