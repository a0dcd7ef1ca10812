"""Places from MaxMind-format files, through the command line: what fills them, and what is wrong at start."""

import json
from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]

from tests.cli import projector

EVENT = {
    "id": "a",
    "eventType": "WebEvent",
    "createdDate": "2025-06-12T09:00:00Z",
    "session": {"id": "s", "type": "web"},
    "webEvent": {"eventName": "page_viewed", "ipAddress": "203.0.113.7"},
}


def database(path: Path) -> str:
    writer = MMDBWriter(4, "Test")
    place = {"country": {"iso_code": "AU", "names": {"en": "Australia"}}, "city": {"names": {"en": "Melbourne"}}}
    writer.insert_network(IPSet(["203.0.113.0/24"]), {**place, "autonomous_system_organization": "Example Net"})
    writer.to_db_file(str(path))
    return str(path)


def test_an_address_becomes_place_and_organisation(tmp_path: Path) -> None:
    settings = {"PROJECTOR_GEO_DATABASES": database(tmp_path / "places.mmdb")}

    done = projector("replay", "-", environment=settings, stdin=json.dumps(EVENT).encode())

    session = json.loads(done.stdout)
    assert (session["geolocation"]["country"], session["geolocation"]["locality"]) == ("AU", "Melbourne")
    assert session["ipOrganization"] == "Example Net"


def test_what_the_event_gives_itself_goes_before_what_is_derived(tmp_path: Path) -> None:
    settings = {"PROJECTOR_GEO_DATABASES": database(tmp_path / "places.mmdb")}
    web = {**EVENT["webEvent"], "geolocation": {"country": "DE"}}  # type: ignore[dict-item]

    done = projector("replay", "-", environment=settings, stdin=json.dumps({**EVENT, "webEvent": web}).encode())

    assert json.loads(done.stdout)["geolocation"] == {"country": "DE"}


def test_a_database_that_is_missing_or_broken_is_an_error_at_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"no database")

    for name in ("nowhere.mmdb", "broken.mmdb"):
        done = projector("replay", "-", code=2, environment={"PROJECTOR_GEO_DATABASES": str(tmp_path / name)})
        assert name in done.stderr.decode()
        assert "Traceback" not in done.stderr.decode()
