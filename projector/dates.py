"""Times as text and as ms since the epoch, UTC; what is finer than a ms is cut off toward the past (contract §1)."""

import re
from datetime import UTC, date, datetime, timedelta

from projector.remembers import remembers

DAY = 86_400_000
LEAST = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z
GREATEST = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:[Zz]|([+-])(\d{2}):(\d{2}))", re.ASCII
)


def parse_time(text: str) -> int | None:
    """The ms of an RFC 3339 time with an offset, None for anything else (`:60`, `24:00` and year 0000 included)."""
    # The form that most senders write, 1.1 -> 0.2 µs: seconds repeat from event to event.
    ms = _MS.get(text[20:])
    if ms is not None:
        second = _second_ms(text[:20])
        if second is not None:
            return second + ms
    return _parse_any(text)


_MS = {f"{ms:03d}Z": ms for ms in range(1000)}


@remembers(4096)
def _second_ms(text: str) -> int | None:
    """A time up to the point behind its seconds."""
    return _parse_any(text[:19] + "Z") if text[19:] == "." else None


def _parse_any(text: str) -> int | None:
    found = _RFC_3339.fullmatch(text)
    if found is None:
        return None
    day, hour, minute, second, fraction, sign, offset_hour, offset_minute = found.groups()
    if hour > "23" or minute > "59" or second > "59" or (sign and (offset_hour > "23" or offset_minute > "59")):
        return None
    try:
        days = date.fromisoformat(day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    ms = (
        days * DAY
        + (int(hour) * 60 + int(minute)) * 60_000
        + int(second) * 1000
        + int((fraction or "")[:3].ljust(3, "0"))
    )
    if sign:
        offset = (int(offset_hour) * 60 + int(offset_minute)) * 60_000
        ms += offset if sign == "-" else -offset
    return ms if LEAST <= ms <= GREATEST else None


def format_time(ms: int) -> str:
    """`yyyy-MM-ddTHH:mm:ss.mmmZ`; a derived time beyond the years 0001-9999 is shown as the nearest one within."""
    ms = min(max(ms, LEAST), GREATEST)
    return written(ms).decode()


def format_time_json(ms: int) -> bytes:
    """The same as JSON text, quotes included."""
    ms = min(max(ms, LEAST), GREATEST)
    return b'"%b"' % written(ms)


class _Minutes(dict[int, bytes]):
    """Minutes since the epoch to `yyyy-MM-ddTHH:mm:`, within the years; they repeat from session to session."""

    def __missing__(self, minute: int) -> bytes:
        if len(self) >= MINUTES_REMEMBERED:
            self.clear()
        text = (_EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:").rjust(17, "0")
        self[minute] = told = text.encode()
        return told


MINUTES_REMEMBERED = 8192

MINUTES = _Minutes()
SECONDS = tuple(b"%02d." % second for second in range(60))
MILLIS = tuple(b"%03dZ" % ms for ms in range(1000))
"""To look them up takes a third of the time of writing them; one table of both would not fit the processor's caches."""


def written(ms: int) -> bytes:
    """`yyyy-MM-ddTHH:mm:ss.mmmZ` of a time within the years 0001-9999."""
    return MINUTES[ms // 60_000] + SECONDS[ms // 1000 % 60] + MILLIS[ms % 1000]
