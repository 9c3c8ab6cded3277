"""What the conformance suite found: findings by rule, and the report that holds them.

How a rule is judged is told in `rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

State = Literal["holds", "broken", "not_asked"]


class Broken(AssertionError):
    """A generator breaks a rule; the message tells which, and where."""


@dataclass(frozen=True)
class Finding:
    """What came of one rule.

    state: "not_asked" where nothing the generator makes can be judged by it; detail: one line for a person;
    cases: how many fakes or refusals were looked at; figures: what was measured, by name with its unit;
    evidence: where the rule is broken, one line each.
    """

    rule: str
    state: State
    detail: str
    cases: int = 0
    figures: Mapping[str, float] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All findings on one generator; size: "quick" or "full", see `clips.Size`."""

    generator: str
    card_digest: str
    size: str
    findings: tuple[Finding, ...]
    took_s: float

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The findings of broken rules, in the order of the rules."""
        return tuple(one for one in self.findings if one.state == "broken")

    @property
    def holds(self) -> bool:
        """Whether no rule is broken."""
        return not self.broken

    def finding(self, rule: str) -> Finding:
        """The finding of one rule. Raises: KeyError."""
        for one in self.findings:
            if one.rule == rule:
                return one
        raise KeyError(rule)

    def raise_if_broken(self) -> None:
        """For tests. Raises: Broken, naming every broken rule and where it is broken."""
        if not self.holds:
            lines = [f"{self.generator} breaks {len(self.broken)} of {len(self.findings)} rules:"]
            for one in self.broken:
                lines.append(f"  {one.rule}: {one.detail}")
                lines += [f"    {line}" for line in one.evidence]
            raise Broken("\n".join(lines))

    def as_json(self) -> dict[str, Any]:
        """The report for scripts: plain values, with `holds`."""
        found = asdict(self)
        found["findings"] = [
            {**asdict(one), "figures": dict(one.figures), "evidence": list(one.evidence)}
            for one in self.findings
        ]
        return {"holds": self.holds, **found}
