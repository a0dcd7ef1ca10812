"""Times between RFC 3339 text and ms since 1970 UTC, cut off toward the past (contract §1, §2 Event time)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

RFC_3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_MS = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
LAST_MS = (datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)


def parse_ms(text: str) -> int:
    """Raises ValueError for anything that is no moment of the years 0001 to 9999."""
    found = RFC_3339.fullmatch(text)
    if found is None:
        raise ValueError(text)
    *parts, fraction, sign, hours, minutes = found.groups()
    year, month, day, hour, minute, second = (int(part) for part in parts)
    wall = datetime(year, month, day, hour, minute, second, tzinfo=UTC)  # refuses :60 and 24:00
    if int(hours or 0) > 23 or int(minutes or 0) > 59:
        raise ValueError(text)
    offset = (int(hours or 0) * 60 + int(minutes or 0)) * 60_000
    ms = (wall - EPOCH) // timedelta(milliseconds=1) + int((fraction or "")[:3].ljust(3, "0"))
    return checked_ms(ms + offset if sign == "-" else ms - offset)


def checked_ms(ms: int) -> int:
    if not FIRST_MS <= ms <= LAST_MS:
        raise ValueError(ms)
    return ms


def format_ms(ms: int) -> str:
    """`yyyy-MM-ddTHH:mm:ss.mmmZ` (contract §6)."""
    moment = EPOCH + timedelta(milliseconds=ms)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
