"""Finds the real data, and counts the tests that had to do without."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
if "URBILD_DATA" not in os.environ and BESIDE.is_dir():
    os.environ["URBILD_DATA"] = str(BESIDE)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how much was not tested for want of real data."""
    skipped = terminalreporter.stats.get("skipped", [])
    without = sum("URBILD_DATA" in str(report.longrepr) for report in skipped)
    if without:
        terminalreporter.write_line(f"{without} tests were skipped: URBILD_DATA names no folder of real data.")
