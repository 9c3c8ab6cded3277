"""LAV-DF: videos in which single words were replaced, with the seconds of each replacement.

After: Cai et al., DICTA 2022. The full list and the short one agree; the full one also has the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from haetae.errors import UsageError
from haetae.importers.base import Entry, Importer, Modality, Reading, Terms, Verdict
from haetae.importers.inventory import SLACK_S
from haetae.importers.listed import SPLITS, Listing, kept, records
from haetae.importers.tree import Tree


class LavDf(Importer):
    name: ClassVar[str] = "lav-df"
    title: ClassVar[str] = "LAV-DF"
    terms: ClassVar[Terms] = Terms(
        licence="CC-BY-NC-4.0",
        access="Agree to the terms and conditions of the LAV-DF repository, on its page or where it is hosted.",
        consent="none",
    )
    layout: ClassVar[str] = (
        "metadata.json or metadata.min.json   a list of {file, n_fakes, fake_periods, modify_video, …}\n"
        "{train,dev,test}/NNNNNN.mp4"
    )

    def read(self, tree: Tree) -> Reading:
        table = tree.find("metadata.json") or tree.find("metadata.min.json")
        if table is None:
            raise UsageError(f"metadata.json of LAV-DF is not in {tree.root}; expected:\n{self.layout}")
        listing = Listing(tree)
        for row in records(tree, table):
            file = row.get("file")
            if not isinstance(file, str):
                listing.note("damaged", table, f"a row without a file: {str(row)[:80]}")
            elif (path := listing.file(file, table)) is not None:
                listing.entries.append(_entry(listing, row, file, path))
        return listing.reading()


def _entry(listing: Listing, row: Mapping[str, Any], file: str, path: str) -> Entry:
    split = listing.word(file, "split", row.get("split"), SPLITS)
    folder = SPLITS.get(file.replace("\\", "/").rpartition("/")[0].rpartition("/")[2])
    if split and folder and split != folder:
        listing.note("label_mismatch", file, f"is listed as {row.get('split')}, but lies in another folder")
        split = None
    video, audio = _verdict(row.get("modify_video")), _verdict(row.get("modify_audio"))
    stated: tuple[tuple[Modality, Verdict | None], ...] = (("video", video), ("audio", audio))
    changed = [modality for modality, verdict in stated if verdict == "fake"]
    segments = listing.segments(file, "fake_periods", row.get("fake_periods"), *changed)
    n_read = len(segments) // max(1, len(changed))
    if fault := _fault(row, video, audio, n_read, max((s.end_s for s in segments), default=0.0)):
        listing.note("label_mismatch", file, fault)
        video, audio, segments = None, None, ()
    text = row.get("transcript")
    original = row.get("original")
    return Entry(
        key=file,
        path=path,
        video=video,
        audio=audio,
        sync="real" if (video, audio) == ("real", "real") else None,
        segments=segments,
        split=split,
        pair=original if isinstance(original, str) and original != file else None,
        text=text if isinstance(text, str) and text else None,
        detail=kept(row, "file", "split", "original", "transcript"),
    )


def _verdict(modified: object) -> Verdict | None:
    return ("fake" if modified else "real") if isinstance(modified, bool) else None


def _fault(
    row: Mapping[str, Any], video: Verdict | None, audio: Verdict | None, n_read: int, last_s: float
) -> str | None:
    """Why the fields of a row cannot all be true; None where they can.

    A change whose place is lost is no verdict either: most of such a video is untouched.
    """
    if video is None or audio is None:
        return "modify_video and modify_audio must be true or false"
    n_fakes, periods, length_s = row.get("n_fakes"), row.get("fake_periods"), row.get("duration")
    if not isinstance(periods, list) or (isinstance(n_fakes, int) and n_fakes != len(periods)):
        return f"n_fakes is {n_fakes}, but fake_periods is {str(periods)[:60]}"
    changed = "fake" in (video, audio)
    if bool(periods) != changed:
        return f"modified video {video == 'fake'}, audio {audio == 'fake'}, but fake_periods is {periods}"
    if changed and n_read != len(periods):
        return f"fake_periods is {str(periods)[:60]}, which is no list of seconds"
    if isinstance(length_s, int | float) and last_s > length_s + SLACK_S:
        return f"fake_periods end at {last_s:g}, which are no seconds of {length_s:g} s"
    return None
