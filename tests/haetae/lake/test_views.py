"""A query finds every table that it names, in whatever way, though only those are looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from haetae.errors import UsageError
from haetae.lake import Lake
from haetae.lake.schema import TABLES
from haetae.lake.views import mentioned


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("SELECT * FROM cues", {"cues"}),
        ('FROM "Cues"', {"cues"}),
        ("FROM current_labels", {"labels"}),
        ("SELECT clip_id FROM clips", {"clips", "tracks", "utterances"}),
        ("SELECT 1 FROM media WHERE EXISTS (FROM visits)", {"media", "visits"}),
        ("SHOW TABLES", set(TABLES)),
        ("SELECT 1", set(TABLES)),
        ("SELECT * FROM information_schema.tables WHERE table_name = 'cues'", set(TABLES)),
        ("FROM query_table('me' || 'dia') JOIN cues ON true", set(TABLES)),
    ],
)
def test_the_tables_of_a_query_are_those_that_it_names_or_that_are_derived(
    query: str, tables: set[str]
) -> None:
    assert mentioned(query) == tables


@pytest.mark.parametrize(
    "query",
    [
        "FROM query_table('me' || 'dia')",
        "SELECT n_tracks, speech_s FROM clips",
        "WITH media AS (FROM cues) FROM media",
        "DESCRIBE current_labels",
    ],
)
def test_what_is_found_in_roundabout_ways_is_found(query: str, tmp_path: Path) -> None:
    assert Lake(tmp_path).sql(query).column_names


def test_a_wrong_name_is_answered_with_one_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='Did you mean "quarantine"'):
        Lake(tmp_path).sql("SELECT * FROM quarantines JOIN cues ON true")
    with pytest.raises(UsageError, match='Did you mean "utterances"'):
        Lake(tmp_path).sql("SELECT * FROM cues, utterance")
