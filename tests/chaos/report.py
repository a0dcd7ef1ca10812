"""What a run has to say: the table of faults, and what was breached."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.recovery import Recovery


@dataclass
class Report:
    recoveries: list[Recovery]
    breaches: list[str] = field(default_factory=list)
    facts: str = ""
    """What was sent and what came out, in a line."""

    def table(self) -> list[str]:
        by_fault: dict[str, list[Recovery]] = {}
        for recovery in self.recoveries:
            by_fault.setdefault(recovery.fault, []).append(recovery)
        rows = [_row(fault, of_it) for fault, of_it in by_fault.items()]
        return [f"{'fault':<20} {'times':>6} {'survived':>9} {'median s':>9} {'max s':>7}", *rows]


def _row(fault: str, recoveries: list[Recovery]) -> str:
    times = [one.took_s for one in recoveries if one.took_s is not None]
    figures = f"{median(times):>9.1f} {max(times):>7.1f}" if times else f"{'-':>9} {'-':>7}"
    return f"{fault:<20} {len(recoveries):>6} {len(times):>9} {figures}"
