"""The policy gate: whether a source may be used for a purpose, and the licence of what is made of it.

The gate only decides; the caller records the decision in the ledger.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haetae.provenance.protected import Protected, protecting

_PERMISSIVE = (
    "CC0-1.0",
    "Unlicense",
    "MIT",
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Apache-2.0",
    "CC-BY-4.0",
    "CC-BY-3.0",
)


@dataclass(frozen=True)
class Verdict:
    """`allowed`, and otherwise every reason why not."""

    allowed: bool
    reasons: tuple[str, ...]


def may_use(source: Mapping[str, Any], purpose: str, today: dt.date | None = None) -> Verdict:
    """Whether a row of `sources` may be used for synthesis, training, benchmark or release."""
    reasons = []
    consent = source["consent"]
    licence = source["licence"]
    if source["status"] != "active":
        reasons.append("source_withdrawn")
    if source["retention_until"] and today and today > dt.date.fromisoformat(source["retention_until"]):
        reasons.append("retention_expired")
    if purpose not in source["purposes"]:
        reasons.append(f"purpose_not_declared:{purpose}")
    if purpose in ("synthesis", "release"):
        if licence is None:
            reasons.append("licence_missing")
        elif is_no_derivatives(licence):
            reasons.append("licence_forbids_derivatives")
        if consent is None:
            reasons.append("consent_missing")
        elif consent["basis"] == "none":
            reasons.append("consent_none")
        if licence == "all-rights-reserved" and (consent is None or consent["basis"] != "release"):
            reasons.append("all_rights_reserved_without_release")
    return Verdict(not reasons, tuple(reasons))


def may_show(names: Sequence[str], protected: Iterable[Protected], today: dt.date) -> Verdict:
    """Whether a fake may be made of, or with, these people.

    Reasons: protected:minor, protected:election_candidate, protected:deny_list.
    """
    reasons = dict.fromkeys(f"protected:{entry.reason}" for entry in protecting(protected, names, today))
    return Verdict(not reasons, tuple(reasons))


def may_make(licences: Sequence[str | None], *, commercial: bool) -> Verdict:
    """Whether anything may be made under all of these licences together: of source, donor, weights and code.

    commercial: what is made serves a commercial purpose. Reasons: licence_forbids_derivatives,
    licence_non_commercial.
    """
    reasons = []
    if any(one is not None and is_no_derivatives(one) for one in licences):
        reasons.append("licence_forbids_derivatives")
    if commercial and any(one is not None and is_non_commercial(one) for one in licences):
        reasons.append("licence_non_commercial")
    return Verdict(not reasons, tuple(reasons))


def purpose_of(split: str) -> str:
    """The declared purpose that a split of the data set needs."""
    return "benchmark" if split == "test" else "training"


def is_no_derivatives(licence: str) -> bool:
    return "-ND" in licence.upper()


def is_non_commercial(licence: str) -> bool:
    upper = licence.upper()
    return "-NC" in upper or "NONCOMMERCIAL" in upper.replace("-", "").replace(" ", "")


def meet(licences: Sequence[str | None]) -> str:
    """The strictest of several licences: what a fake made of all of them inherits.

    Order: all rights reserved or unknown, no derivatives, non-commercial share-alike, non-commercial,
    share-alike or copyleft, attribution and notice, public domain. Equal ranks are joined by ` AND `.
    """
    ranked = {one or "all-rights-reserved" for one in licences}
    strictest = max(_strictness(one) for one in ranked)
    return " AND ".join(sorted(one for one in ranked if _strictness(one) == strictest))


def _strictness(licence: str) -> int:
    upper = licence.upper()
    if upper == "ALL-RIGHTS-RESERVED" or upper.startswith("LICENSEREF-"):
        return 6
    if "-ND" in upper:
        return 5
    if "-NC" in upper:
        return 4 if "-SA" in upper else 3
    if licence in ("CC0-1.0", "Unlicense", "MIT-0"):
        return 0
    return 1 if licence in _PERMISSIVE else 2
