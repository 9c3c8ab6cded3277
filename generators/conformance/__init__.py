"""The rules that every generator keeps, and a suite that tries any of them on clips of its own making.

from generators.conformance import check

def test_it_keeps_the_rules() -> None:
    check(MyGenerator).raise_if_broken()
"""

from generators.conformance.bench import check
from generators.conformance.clips import FULL, QUICK, Size
from generators.conformance.report import Broken, Finding, Report

__all__ = ["FULL", "QUICK", "Broken", "Finding", "Report", "Size", "check"]
