import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from projector.enrich.geo import GeoReader
from projector.errors import WrongInput
from projector.models import Geolocation

MELBOURNE = {
    "country": {"iso_code": "AU", "names": {"en": "Australia", "de": "Australien"}},
    "city": {"names": {"en": "Melbourne"}},
    "location": {"latitude": -37.8159, "longitude": 144.9669, "time_zone": "Australia/Melbourne"},
    "postal": {"code": "3000"},
    "subdivisions": [{"iso_code": "VIC", "names": {"en": "Victoria"}}, {"iso_code": "X"}],
}
TELSTRA = {"autonomous_system_number": 1221, "autonomous_system_organization": "Telstra"}


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def write(path: Path, networks: Mapping[str, Any], ip_version: int = 6) -> Path:
    """Puts a database in place of `path`, as the updaters do it: aside first, then renamed."""
    writer = MMDBWriter(ip_version=ip_version, ipv4_compatible=ip_version == 6)
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    aside = path.with_suffix(".new")
    writer.to_db_file(str(aside))
    aside.replace(path)
    return path


def located(reader: GeoReader, ip_address: str) -> tuple[Geolocation | None, str | None]:
    text, organisation = reader.locate(ip_address)
    return None if text is None else msgspec.json.decode(text, type=Geolocation), organisation


def test_place_and_organisation_come_from_two_databases(tmp_path: Path) -> None:
    city = write(tmp_path / "city.mmdb", {"203.0.113.0/24": MELBOURNE})
    asn = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": TELSTRA})

    reader = GeoReader([city, asn], Clock())

    assert located(reader, "203.0.113.10") == (
        Geolocation(
            country="AU",
            country_name="Australia",
            latitude=-37.8159,
            longitude=144.9669,
            locality="Melbourne",
            postal_code="3000",
            region="VIC",
            region_name="Victoria",
            source="ip",
            timezone="Australia/Melbourne",
        ),
        "Telstra",
    )


def test_an_address_of_either_version_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": TELSTRA, "2001:db8::/32": {"isp": "Six"}})
    reader = GeoReader([path], Clock())

    assert located(reader, "203.0.113.1") == (None, "Telstra")
    assert located(reader, "2001:db8::1") == (None, "Six")


@pytest.mark.parametrize(
    ("record", "organisation"),
    [
        ({"organization": "User", "isp": "Provider", "autonomous_system_organization": "AS"}, "User"),
        ({"isp": "Provider", "autonomous_system_organization": "AS"}, "Provider"),
        ({"organization": "", "autonomous_system_organization": "AS"}, "AS"),
        ({"traits": {"isp": "Provider"}}, "Provider"),
        ({"isp": 7}, None),
    ],
)
def test_the_user_of_a_network_goes_before_its_operator(
    tmp_path: Path, record: dict[str, Any], organisation: str | None
) -> None:
    path = write(tmp_path / "isp.mmdb", {"203.0.113.0/24": record})

    assert located(GeoReader([path], Clock()), "203.0.113.1") == (None, organisation)


def test_addresses_at_one_place_share_its_text(tmp_path: Path) -> None:
    city = write(tmp_path / "city.mmdb", {"203.0.113.0/24": MELBOURNE})
    asn = write(tmp_path / "asn.mmdb", {"203.0.113.0/25": TELSTRA, "203.0.113.128/25": {"isp": "Other"}})
    reader = GeoReader([city, asn], Clock())
    one, other = reader.locate("203.0.113.1"), reader.locate("203.0.113.200")

    assert one != other
    assert one[0] is other[0] is not None


def test_a_country_alone_is_a_place(tmp_path: Path) -> None:
    path = write(tmp_path / "country.mmdb", {"203.0.113.0/24": {"country": {"iso_code": "AU"}}})

    assert located(GeoReader([path], Clock()), "203.0.113.1") == (Geolocation(country="AU", source="ip"), None)


@pytest.mark.parametrize(
    "record", [{"continent": {"code": "OC"}}, {"country": "AU"}, "AU", ["AU"], {"subdivisions": ["V"]}]
)
def test_a_record_that_names_no_place_in_the_known_way_gives_none(tmp_path: Path, record: Any) -> None:
    path = write(tmp_path / "odd.mmdb", {"203.0.113.0/24": record})

    assert located(GeoReader([path], Clock()), "203.0.113.1") == (None, None)


@pytest.mark.parametrize(
    "ip_address", ["192.0.2.1", "", "localhost", "203.0.113.10:80", "999.1.1.1", "fe80::1%eth0", "\ud800", "1" * 5000]
)
def test_an_address_that_is_none_or_not_listed_gives_nothing(tmp_path: Path, ip_address: str) -> None:
    path = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": TELSTRA})

    assert located(GeoReader([path], Clock()), ip_address) == (None, None)


def test_a_database_for_ipv4_alone_gives_nothing_for_ipv6(tmp_path: Path) -> None:
    path = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": TELSTRA}, ip_version=4)

    assert located(GeoReader([path], Clock()), "2001:db8::1") == (None, None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=())))
def test_no_text_makes_it_raise(tmp_path: Path, ip_address: str) -> None:
    path = tmp_path / "asn.mmdb"
    if not path.exists():
        write(path, {"203.0.113.0/24": TELSTRA})

    assert located(GeoReader([path], Clock()), ip_address)[0] is None


def test_a_missing_file_is_an_error_at_start_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match=r"geo database .*gone\.mmdb: .*No such file"):
        GeoReader([tmp_path / "gone.mmdb"], Clock())


@pytest.mark.parametrize("content", [b"", b"no database", b"\xab\xcd\xefMaxMind.com"])
def test_a_broken_file_is_an_error_at_start_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mmdb"
    path.write_bytes(content)

    with pytest.raises(WrongInput, match=r"geo database .*broken\.mmdb"):
        GeoReader([path], Clock())


def test_a_replaced_file_is_taken_over_a_second_later_and_not_before(tmp_path: Path) -> None:
    path = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": {"isp": "Old"}})
    clock = Clock()
    reader = GeoReader([path], clock)
    assert located(reader, "203.0.113.1") == (None, "Old")
    write(path, {"203.0.113.0/24": {"isp": "New"}})

    clock.now = 0.999
    assert located(reader, "203.0.113.1") == (None, "Old")
    clock.now = 1.0
    assert located(reader, "203.0.113.1") == (None, "New")


def test_every_replaced_file_is_taken_over_at_once(tmp_path: Path) -> None:
    city = write(tmp_path / "city.mmdb", {"203.0.113.0/24": {"country": {"iso_code": "AU"}}})
    asn = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": {"isp": "Old"}})
    reader = GeoReader([city, asn], Clock())
    write(city, {"203.0.113.0/24": {"country": {"iso_code": "NZ"}}})
    write(asn, {"203.0.113.0/24": {"isp": "New"}})

    reader.refresh()

    assert located(reader, "203.0.113.1") == (Geolocation(country="NZ", source="ip"), "New")


@pytest.mark.parametrize("damage", ["removed", "emptied", "overwritten"])
def test_a_file_that_goes_wrong_later_leaves_the_old_content_in_use_until_it_is_whole_again(
    tmp_path: Path, damage: str
) -> None:
    path = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": {"isp": "Old"}})
    reader = GeoReader([path], Clock())
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "emptied" else b"x" * path.stat().st_size)

    reader.refresh()
    assert located(reader, "203.0.113.1") == (None, "Old")
    assert "asn.mmdb" in reader.problems[0]

    write(path, {"203.0.113.0/24": {"isp": "New"}})
    reader.refresh()
    assert located(reader, "203.0.113.1") == (None, "New")
    assert reader.problems == ()


def test_the_same_broken_file_is_not_read_again_and_its_problem_stays_known(tmp_path: Path) -> None:
    path = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": TELSTRA})
    reader = GeoReader([path], Clock())
    path.write_bytes(b"broken")

    reader.refresh()
    first = reader.problems
    reader.refresh()

    assert first
    assert reader.problems == first


def test_a_file_put_back_as_it_was_is_no_problem_any_more(tmp_path: Path) -> None:
    path = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": TELSTRA})
    reader = GeoReader([path], Clock())
    path.rename(tmp_path / "away.mmdb")
    reader.refresh()
    assert reader.problems

    (tmp_path / "away.mmdb").rename(path)
    reader.refresh()

    assert reader.problems == ()
    assert located(reader, "203.0.113.1") == (None, "Telstra")


def test_no_copy_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(copies))
    path = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": TELSTRA})

    reader = GeoReader([path], Clock())

    assert located(reader, "203.0.113.1") == (None, "Telstra")
    assert list(copies.iterdir()) == []


def test_a_file_overwritten_in_place_does_not_reach_what_is_in_use(tmp_path: Path) -> None:
    path = write(tmp_path / "asn.mmdb", {"203.0.113.0/24": TELSTRA})
    reader = GeoReader([path], Clock())
    shutil.copyfile(os.devnull, path)

    assert located(reader, "203.0.113.7") == (None, "Telstra")
