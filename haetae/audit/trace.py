"""Lineage of one thing: everything it was made from, and everything that was made of it.

Edges are written by the lake with every table; nothing is inferred here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from haetae.errors import UsageError
from haetae.lake import Lake

_PREFIXES = {
    "clip": "clip",
    "track": "track",
    "utterance": "utterance",
    "utt": "utterance",
    "lesson": "lesson",
    "fake": "fake",
    "s": "snapshot",
    "model": "model",
    "scorecard": "scorecard",
    "promotion": "promotion",
}
_MEDIA = re.compile(r"^[0-9a-f]{64}$")


def trace(lake: Lake, start: str) -> dict[str, list[dict[str, str]]]:
    """Nodes and edges above and below one id; `champion` stands for the newest promotion.

    Returns {"nodes": [{"id", "type"}], "edges": [{"parent", "child", "relation"}]}, both sorted. The code
    that wrote a row is a parent of it, as `code:<asset>@<version>`. Raises: UsageError for an unknown id.
    """
    start = champion_id(lake) if start == "champion" else start
    found = lake.sql("SELECT parent_id, child_id, relation, asset, code_version FROM edges").to_pylist()
    edges = {(e["parent_id"], e["child_id"], e["relation"]) for e in found}
    edges |= {(f"code:{e['asset']}@{e['code_version']}", e["child_id"], "computed") for e in found}
    if not any(start in (parent, child) for parent, child, _ in edges):
        raise UsageError(
            f'nothing in the lake is called {start!r}; list ids with: haetae sql "SELECT child_id FROM edges LIMIT 20"'
        )
    kept = _reach(edges, start, up=True) | _reach(edges, start, up=False)
    sources = set(lake.read("sources")["source_id"].to_pylist())
    nodes = {start} | {node for parent, child, _ in kept for node in (parent, child)}
    return {
        "nodes": [{"id": node, "type": type_of(node, sources)} for node in sorted(nodes)],
        "edges": [{"parent": p, "child": c, "relation": r} for p, c, r in sorted(kept)],
    }


def champion_id(lake: Lake) -> str:
    """The promotion by which the present champion came to be. Raises: UsageError where there is none."""
    query = (
        "SELECT promotion_id FROM promotions p JOIN snapshots s USING (snapshot_id) "
        "WHERE promoted ORDER BY s.created_at DESC, promotion_id LIMIT 1"
    )
    rows = lake.sql(query).to_pylist()
    if not rows:
        raise UsageError("no model was promoted yet; run: haetae run")
    return str(rows[0]["promotion_id"])


def type_of(node: str, sources: Iterable[str]) -> str:
    """What an id names."""
    if node in sources:
        return "source"
    if node.startswith("code:"):
        return "code"
    if node.startswith(("label:", "cue:", "fingerprint:")):
        return node.split(":", 1)[0]
    if _MEDIA.match(node):
        return "media"
    if "@" in node:
        return "generator"
    return _PREFIXES.get(node.split("-", 1)[0], "unknown")


def _reach(edges: Iterable[tuple[str, str, str]], start: str, *, up: bool) -> set[tuple[str, str, str]]:
    """All edges on paths that lead to `start` (up) or away from it."""
    at: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for edge in edges:
        at[edge[1] if up else edge[0]].append(edge)
    seen, todo = set[Any](), [start]
    visited = {start}
    while todo:
        for edge in at[todo.pop()]:
            seen.add(edge)
            following = edge[0] if up else edge[1]
            if following not in visited:
                visited.add(following)
                todo.append(following)
    return seen
