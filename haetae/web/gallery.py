"""The gallery of a lake: one page that plays targets and fakes side by side, below `gallery/` in the lake.

It links to the media where they lie and copies none: masters carry no mark and stay in the store. What is shown of
one fake is gathered in `exhibits`; the report is another page.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.params import FakeThresholds
from haetae.web import contents, figures
from haetae.web.exhibits import Exhibit, Player, make_exhibits
from haetae.web.page import content_policy, environment, own_markup
from haetae.web.pairs import choose_pairs

FOLDER, PAGE = "gallery", "index.html"
Cards = Mapping[str, Mapping[str, Any]]
"""Cards of generators as plain values, by key: this floor knows no generators."""


@dataclass(frozen=True)
class Gallery:
    """What was written. of: how many fakes the lake has that fit the choice."""

    page: Path
    exhibits: tuple[Exhibit, ...]
    of: int


def write_gallery(
    lake: Lake,
    thresholds: FakeThresholds,
    cards: Cards,
    *,
    out: Path | None = None,
    generator: str | None = None,
    language: str | None = None,
    n: int = 24,
) -> Gallery:
    """Write the page of at most n fakes, dealt evenly over generators and languages; the same lake gives equal bytes.

    out: an .html file below `gallery/` of the lake; None: `index.html` there, or a page of its own for a choice, such
    as `mesh_swap-ko.html`. generator: name or name@version.
    The page appears under its name only when complete.
    Raises: UsageError for another place, a lake that is not on a local disk, or a choice that no fake fits.
    """
    page = _place(lake, out, page_of(generator, language))
    fits = _how_many(lake, generator, language)
    if not fits:
        chosen = [f"generator {generator}" if generator else "", f"language {language}" if language else ""]
        of_these = " and ".join(filter(None, chosen))
        raise UsageError(
            f"there is no fake{f' of {of_these}' if of_these else ''} in this lake; make some with: haetae run --until "
            'labels, or see what there is: haetae sql "SELECT generator, language, count(*) FROM fakes GROUP BY ALL"'
        )
    pairs = choose_pairs(lake, contents.standing(lake), n, generator, language)
    exhibits = make_exhibits(lake, pairs, thresholds)
    _write(page, _render(lake, page, exhibits, cards, fits))
    return Gallery(page, exhibits, fits)


def page_of(generator: str | None, language: str | None) -> str:
    """File name of the page of a choice; that of the whole lake is `index.html`."""
    chosen = "-".join(filter(None, (generator, language)))
    return f"{re.sub(r'[^A-Za-z0-9_@.-]+', '_', chosen).lstrip('.')}.html" if chosen else PAGE


def _place(lake: Lake, out: Path | None, name: str) -> Path:
    folder = lake.local_path(FOLDER)
    # Without links: a folder that leads out of the store is another place.
    page = (folder / name if out is None else out).resolve()
    folder = lake.local_path("").resolve() / FOLDER
    if not page.is_relative_to(folder) or page.suffix != ".html" or page.is_dir():
        raise UsageError(
            f"{page}: the gallery plays files that carry no mark and stay in the store; give an .html file"
            f" below {folder}"
        )
    return page


def _how_many(lake: Lake, generator: str | None, language: str | None) -> int:
    query = (
        "SELECT count(*) AS n FROM fakes f JOIN clips c ON c.clip_id = f.pair_id "
        "WHERE ($1 IS NULL OR f.generator = $1 OR split_part(f.generator, '@', 1) = $1) "
        "AND ($2 IS NULL OR f.language = $2)"
    )
    return int(lake.sql(query, [generator, language]).to_pylist()[0]["n"])


def _render(lake: Lake, page: Path, exhibits: Sequence[Exhibit], cards: Cards, fits: int) -> str:
    made = environment()
    made.globals["score_scale"] = figures.score_scale
    style, script = own_markup("report.css", "gallery.css"), own_markup("gallery.js")
    root = lake.local_path("").resolve()
    report = root / "report" / "index.html"

    def address(player: Player) -> str | None:
        return None if player.path is None else os.path.relpath(root / player.path, page.parent)

    return made.get_template("gallery.html.j2").render(
        style=style,
        script=script,
        policy=content_policy(style, script, ("media",)),
        lake_name=Path(lake.root).name,
        exhibits=exhibits,
        fits=fits,
        address=address,
        cards=cards,
        report=os.path.relpath(report, page.parent) if report.is_file() else None,
        generators=sorted({str(one.pair.fake["generator"]) for one in exhibits}),
        languages=sorted({str(one.pair.fake["language"]) for one in exhibits}),
    )


def _write(page: Path, text: str) -> None:
    page.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=page.parent, prefix=".gallery-", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, page)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
