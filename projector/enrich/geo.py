"""Place and organisation of an IP address, by MaxMind-format databases that the operator names.

Reads these files and nothing else. A file that is wrong at start is an error then; one that goes wrong later never is:
the last good copy stays in use.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import maxminddb
import msgspec

from projector.errors import WrongInput
from projector.models import Geolocation
from projector.remembers import T, remembers

CHECK_INTERVAL_S = 1.0
_REMEMBERED_MAX = 65_536
"""Addresses, some 10 MB: to look one up takes 18 µs, and a visitor keeps its own for hours."""
_SHARED_MAX = 16_384
"""Places and organisations, which many addresses have in common: each is in memory once."""
_ADDRESS_LENGTH_MAX = 64  # The longest IPv6 address has 45 characters; what is longer is none and would fill the cache.

Location = tuple[bytes | None, str | None]
"""Where an address is, as the JSON text of a `Geolocation`, and whose it is."""

_NOWHERE: Location = (None, None)
_UNREADABLE = (OSError, ValueError, maxminddb.InvalidDatabaseError)
_Identity = tuple[int, int, int]


class GeoReader:
    """Looks addresses up; notices within a second of use that a file was replaced, and then reads it again."""

    def __init__(self, paths: Iterable[Path], clock: Callable[[], float]) -> None:
        """Opens all databases. `clock` gives seconds that only grow. Raises WrongInput, with the file and its fault."""
        self._databases = [_Database(path) for path in paths]
        self._clock = clock
        self._next_check_at = clock() + CHECK_INTERVAL_S
        self._remember()

    @property
    def problems(self) -> tuple[str, ...]:
        """What kept replaced files from being taken over, at the last check; empty when all are as on disk."""
        return tuple(database.problem for database in self._databases if database.problem)

    def locate(self, text: str) -> Location:
        """Geolocation and organisation, from the first database that has it; never raises. The result is shared."""
        now = self._clock()
        if now >= self._next_check_at:
            self._next_check_at = now + CHECK_INTERVAL_S
            self.refresh()
        return self._locate(text) if len(text) <= _ADDRESS_LENGTH_MAX else _NOWHERE

    def refresh(self) -> None:
        """Takes over the files that were replaced; answers from older ones are forgotten."""
        replaced = [database.refresh() for database in self._databases]
        if any(replaced):
            self._remember()

    def _remember(self) -> None:
        self._locate = remembers(_REMEMBERED_MAX)(self._look_up)

    def _look_up(self, text: str) -> Location:
        place: bytes | None = None
        organisation: str | None = None
        try:
            address = ip_address(text)
        except ValueError:
            return _NOWHERE
        for database in self._databases:
            record = database.get(address)
            place = place or _geolocation(record)
            organisation = organisation or _organisation(record)
        return place and _place(place), organisation and _operator(organisation)


class _Database:
    """One file: a private copy of its last good content.

    The copy, because a map over the operator's file would kill the process when somebody writes into it in place.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem: str | None = None
        try:
            self._taken = _identity(
                path
            )  # Of the content in use. Before reading: what is written meanwhile is read again.
            self._refused: _Identity | None = None  # Of content that could not be read.
            self._reader = _open_copy(path)
        except _UNREADABLE as exc:
            raise WrongInput(f"geo database {path}: expected a readable file in MaxMind's format, got: {exc}") from exc

    def refresh(self) -> bool:
        """Whether the file was replaced and is now in use; one that cannot be read is tried again when it changes."""
        now = None
        try:
            now = _identity(self._path)
            if now == self._refused:
                return False
            if now == self._taken:
                self.problem = None  # It was away for a while.
                return False
            fresh = _open_copy(self._path)
        except _UNREADABLE as exc:
            self.problem = f"geo database {self._path}: the one read before stays in use: {exc}"
            self._refused = now
            return False
        self._reader.close()
        self._reader, self._taken, self._refused, self.problem = fresh, now, None, None
        return True

    def get(self, address: IPv4Address | IPv6Address) -> Mapping[str, object]:
        """The record of an address; empty where it is not listed, or damaged, or IPv6 in a file without."""
        try:
            record = self._reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return {}
        return record if isinstance(record, Mapping) else {}


def _identity(path: Path) -> _Identity:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _open_copy(path: Path) -> maxminddb.Reader:
    with path.open("rb") as original, tempfile.NamedTemporaryFile(prefix="projector-geo-") as copy:
        shutil.copyfileobj(original, copy)
        copy.flush()
        # The map outlives the name: the copy goes with the reader.
        return maxminddb.open_database(os.fspath(copy.name), mode=maxminddb.MODE_AUTO)


def _geolocation(record: Mapping[str, object]) -> bytes | None:
    country = _member(record, "country")
    location = _member(record, "location")
    subdivisions = record.get("subdivisions")
    first = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else None
    region = first if isinstance(first, Mapping) else {}
    found = Geolocation(
        country=_text(country.get("iso_code")),
        country_name=_name(country),
        latitude=_number(location.get("latitude")),
        longitude=_number(location.get("longitude")),
        locality=_name(_member(record, "city")),
        postal_code=_text(_member(record, "postal").get("code")),
        region=_text(region.get("iso_code")),
        region_name=_name(region),
        timezone=_text(location.get("time_zone")),
    )
    if found == Geolocation():
        return None
    found.source = "ip"
    return _encode(found)


_encode = msgspec.json.Encoder().encode


def _same(text: T) -> T:
    """Remembered, it gives of equal texts the first, so that the others need not be kept."""
    return text


_place: Callable[[bytes], bytes] = remembers(_SHARED_MAX)(_same)
_operator: Callable[[str], str] = remembers(_SHARED_MAX)(_same)


def _organisation(record: Mapping[str, object]) -> str | None:
    """Of databases for ASNs, providers and (in `traits`) enterprises: the user of a network before its operator."""
    for holder in (record, _member(record, "traits")):
        for name in ("organization", "isp", "autonomous_system_organization"):
            if found := _text(holder.get(name)):
                return found
    return None


def _member(record: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = record.get(name)
    return value if isinstance(value, Mapping) else {}


def _name(record: Mapping[str, object]) -> str | None:
    return _text(_member(record, "names").get("en"))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
