"""What the findings on a file come to: which of what left together was changed since, in a few words.

The findings themselves, `word: detail`, are made in `verify`, `stated` and `beside`.
"""

from __future__ import annotations

from collections.abc import Sequence

from haetae.marks.stated import Stated, is_as_signed

PARTS = ("file", "sidecar", "masks", "subtitles")
_NAMES = {"sidecar": "its sidecar", "masks": "its masks", "subtitles": "its subtitles"}
_PART_OF = {
    "differs_from_export": "file",
    "manifest_names_another": "file",
    "sidecar_changed": "sidecar",
    "sidecar_unreadable": "sidecar",
    "masks_differ": "masks",
    "subtitles_differ": "subtitles",
}
_STRANGER = ("manifest_untrusted", "sidecar_untrusted")


def parts_changed(
    wrong: Sequence[str], stated: Stated | None, *, rewritten: bool, known: bool
) -> tuple[str, ...]:
    """Which of `PARTS` are not as they were exported, as far as the findings tell.

    rewritten: watermarks, but no manifest; known: the lake's ledger has these very bytes as an export.
    """
    words = {one.partition(":")[0] for one in wrong}
    found = {_PART_OF[word] for word in words if word in _PART_OF}
    holds = _holds(stated)
    if rewritten or (stated is not None and not holds):
        found.add("file")
    if "sidecar_differs" in words and "sidecar_changed" not in words:
        # It is about other bytes: those of another fake, or of another export, or the file's before a change.
        found.add("sidecar" if known or (holds and "sidecar_names_another" in words) else "file")
    return tuple(part for part in PARTS if part in found)


def parts_missing(notes: Sequence[str]) -> tuple[str, ...]:
    """Which of `PARTS` do not lie beside the file, as the notes tell."""
    words = {one.partition(":")[0] for one in notes}
    return tuple(part for part in PARTS if f"{part}_missing" in words)


def headline(
    conclusion: str,
    intact: bool | None,
    changed: Sequence[str],
    wrong: Sequence[str],
    stated: Stated | None,
    *,
    missing: Sequence[str] = (),
    masters: Sequence[str] = (),
    text_fakes: int = 0,
) -> str:
    """The conclusion, and what follows it: that all is as exported, or what is not.

    missing: those of `PARTS` that do not lie beside it; masters: fakes of which an unmarked file is the master;
    text_fakes: how many fakes of text alone keep an unmarked file as it is.
    """
    if conclusion == "unmarked":
        return conclusion + _known_here(masters, text_fakes)
    if intact and missing:
        lost = " and ".join(_NAMES[part] for part in missing)
        return f"{conclusion}, every byte of what is here as it was exported; {lost} are missing"
    if intact:
        return f"{conclusion}, every byte as it was exported"
    beside = " and ".join(_NAMES[part] for part in changed if part in _NAMES)
    if "file" in changed:
        also = f", and so {'were' if _many(beside) else 'was'} {beside}" if beside else ""
        return f"{conclusion}, the file was changed since it was exported{also}"
    if any(one.startswith(_STRANGER) for one in wrong):
        return f"{conclusion}, signed by somebody who is not trusted here"
    if beside:
        verb = "are" if _many(beside) else "is"
        ours = stated is not None and stated.fake_id is not None
        itself = "the file itself is as it was exported" if ours else "the file itself carries no mark"
        return f"{conclusion}, {beside} {verb} not what was exported with it; {itself}"
    return f"{conclusion}, its marks contradict each other"


def _holds(stated: Stated | None) -> bool:
    return stated is not None and is_as_signed(stated.summary)


def _many(beside: str) -> bool:
    return " and " in beside or beside.endswith("s")


def _known_here(masters: Sequence[str], text_fakes: int) -> str:
    """What the lake knows of the bytes of an unmarked file. Those that a fake of text keeps are its clip's."""
    if masters:
        more = f" and {len(masters) - 1} more" if masters[1:] else ""
        return f", but these bytes are the master of {masters[0]}{more} in this lake"
    if not text_fakes:
        return ""
    keep = "1 fake of text alone has" if text_fakes == 1 else f"{text_fakes} fakes of text alone have"
    return f"; these bytes are a clip's of this lake, and {keep} this file, unchanged, as their own"
