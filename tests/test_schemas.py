"""`schemas/` against the code and the worked examples, with an independent validator."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from projector import schemas as documents
from projector.adapters.file_output import Output, RejectsFile, ReplayPublisher
from projector.adapters.kafka.fitting import LEFT_OUT, REJECT_LEFT_OUT
from projector.adapters.kafka.outgoing import reject_record, snapshot_record
from projector.decode import Reason, Rejected, decode
from projector.ports import Change, Refused
from projector.schemas import examples, inputs
from projector.snapshot import Snapshot, Told, headers_of
from tests.memory import MemoryRecord
from tests.oracle.replay import replay
from tests.strategies import conversation_event, external_event, journey_event, raw_event

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

Json = dict[str, Any]

ROOT = Path(__file__).parent.parent
COMMITTED = ROOT / "schemas" / "v1"
EXAMPLES = Path(__file__).parent / "examples"

SCHEMAS = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in COMMITTED.glob("*.schema.json")
}
ANY_EVENT = Draft202012Validator(SCHEMAS["journey-event"])
SESSION = Draft202012Validator(SCHEMAS["session-snapshot"])
MESSAGES = {path.stem: json.loads(path.read_text()) for path in (COMMITTED / "examples").glob("*.json")}


def lines_of(kind: str) -> list[Any]:
    """The lines of the worked examples' files of a kind, each a parameter that is named by its place."""
    return [
        pytest.param(line, id=f"{path.name}:{number}")
        for path in sorted(EXAMPLES.glob(f"*.{kind}.jsonl"))
        for number, line in enumerate(path.read_bytes().splitlines(), start=1)
    ]


def event_lines() -> list[Any]:
    """Those that hold a JSON object: what is no JSON has no schema."""
    held = [(line, line.values[0]) for line in lines_of("events")]
    return [line for line, value in held if value.startswith(b"{") and reason_of(value) != Reason.NOT_JSON]


def reason_of(line: bytes) -> Reason | None:
    found = decode(line)
    return found.reason if isinstance(found, Rejected) else None


def schema_of(name: str) -> str:
    return "session-snapshot" if name.startswith("session-snapshot") else name


# ---- the files and the code ------------------------------------------------------------------------------------------


def test_the_committed_files_are_what_the_code_writes() -> None:
    written = {path: documents.text_of(document) for path, document in documents.documents().items()}

    assert {str(path.relative_to(COMMITTED.parent)): path.read_text() for path in COMMITTED.rglob("*.json")} == written


def test_a_text_with_short_lists_holds_the_same_document() -> None:
    tricky = {
        "a": ["[\n  1\n]", "x,\n  y", "{\n  1\n}"],
        "b": [],
        "c": [1, [2, {"d": ["e"]}]],
        "f": ["long " * 30, "two"],
    }

    assert json.loads(documents.text_of(tricky)) == tricky
    assert all(json.loads(documents.text_of(document)) == document for document in documents.documents().values())


# ---- the schemas themselves ------------------------------------------------------------------------------------------


def test_there_is_a_schema_for_every_event_type_and_for_the_session() -> None:
    assert {inputs.kebab(name) for name in inputs.EVENT_TYPES} | {
        *("conversation-event", "notification", "journey-event", "session-snapshot"),
        *("snapshot-headers", "tombstone-headers", "reject-headers", "reject"),
    } == SCHEMAS.keys()


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_valid_2020_12_and_stands_alone(name: str) -> None:
    schema = SCHEMAS[name]

    Draft202012Validator.check_schema(schema)
    assert {schema["$schema"], schema["$id"]} == {documents.DIALECT, f"urn:session-projector:v1:{name}"}
    assert set(references_in(schema)) == {f"#/$defs/{definition}" for definition in schema.get("$defs", {})}


def references_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from references_in(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references_in(inner)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_an_example_message_is_valid_by_the_schema_of_its_name(name: str) -> None:
    Draft202012Validator(SCHEMAS[schema_of(name)]).validate(MESSAGES[name])


def test_every_schema_has_an_example_message() -> None:
    assert {schema_of(name) for name in MESSAGES} == SCHEMAS.keys() - {"journey-event"}


# ---- events in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", event_lines())
def test_a_worked_example_is_valid_exactly_when_it_is_decoded(line: bytes) -> None:
    assert ANY_EVENT.is_valid(json.loads(line)) == (reason_of(line) is None)


def test_the_worked_examples_hold_both_kinds() -> None:
    reasons = [reason_of(line.values[0]) for line in event_lines()]

    assert {None, Reason.NOT_AN_EVENT, Reason.UNKNOWN_TYPE} == set(reasons)


@pytest.mark.parametrize("name", sorted(examples.events()))
def test_an_event_is_valid_by_the_schema_of_its_type_and_by_that_of_any(name: str) -> None:
    valid_by = {one for one in examples.events() if Draft202012Validator(SCHEMAS[one]).is_valid(MESSAGES[name])}

    assert valid_by == {name, "notification"} if name == "conversation-event" else valid_by == {name}
    assert ANY_EVENT.is_valid(MESSAGES[name])


@pytest.mark.parametrize("name", sorted(examples.events()))
@pytest.mark.parametrize("value", [None, 3, [], {}, "absent"])
def test_what_decode_says_of_a_changed_or_missing_member_the_schemas_say_too(name: str, value: Any) -> None:
    own = Draft202012Validator(SCHEMAS[name])
    for path in paths_in(MESSAGES[name]):
        changed = changed_at(MESSAGES[name], path, value)
        decoded = reason_of(json.dumps(changed).encode()) is None

        assert ANY_EVENT.is_valid(changed) == decoded, (path, value)
        assert own.is_valid(changed) == decoded, (path, value)


def paths_in(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    for name, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from paths_in(inner, (*path, name))


def changed_at(message: Json, path: tuple[str | int, ...], value: Any) -> Json:
    changed = copy.deepcopy(message)
    holder: Any = changed
    for name in path[:-1]:
        holder = holder[name]
    if value == "absent":
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return changed


any_event = st.one_of(journey_event(), conversation_event(), external_event(), raw_event())
odd_values = st.sampled_from(["absent", None, "", " ", "x", 0, -1, 2**63, 1.5, True, [], ["x"], [None], {}, {"id": 1}])


@settings(deadline=None)  # Wall time is no promise of this test.
@given(any_event, odd_values, st.randoms(use_true_random=False))
def test_any_event_is_valid_exactly_when_it_is_decoded(event: Json, value: Any, chance: random.Random) -> None:
    assert ANY_EVENT.is_valid(event)

    changed = changed_at(event, chance.choice(list(paths_in(event))), value)

    line = json.dumps(changed).encode()
    assert ANY_EVENT.is_valid(changed) == (reason_of(line) is None)


@pytest.mark.parametrize(
    ("time", "taken"),
    [
        ("2025-06-10t08:00:05.1234567z", True),
        ("2025-06-10 08:00:05+14:00", True),
        ("2025-06-10T08:00:05", False),
        ("2025-06-10T08:00:60Z", False),
        ("2025-06-10T24:00:00Z", False),
        ("0000-06-10T08:00:00Z", False),
        ("2025-13-10T08:00:00Z", False),
        ("2025-06-10T08:00:00+0200", False),
        ("1749542520000", False),
    ],
)
def test_a_time_is_valid_exactly_when_it_is_read(time: str, taken: bool) -> None:
    event = {**MESSAGES["heartbeat"], "createdDate": time}

    assert ANY_EVENT.is_valid(event) == taken
    assert (reason_of(json.dumps(event).encode()) is None) == taken


# ---- sessions out ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", lines_of("expected"))
def test_an_expected_session_is_valid_and_its_members_stand_in_the_order_of_the_struct(line: bytes) -> None:
    SESSION.validate(json.loads(line))

    assert msgspec.json.encode(msgspec.json.decode(line, type=Snapshot)) == line


def test_the_schema_has_the_members_of_the_session_in_their_order_each_with_a_meaning() -> None:
    members = SCHEMAS["session-snapshot"]["properties"]

    assert list(members) == [field.encode_name for field in msgspec.structs.fields(Snapshot)]
    assert len(members) == 42
    assert all(member["description"] for member in members.values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"unknown": 1},
        {"customerId": None},
        {"searchTerms": []},
        {"attributes": {}},
        {"attributes": {"price": {"dataType": "NUMBER", "value": 89.9}}},
        {"browser": {}},
        {"browser": {"unknown": 1}},
        {"createdDate": "2025-06-10T08:00:05Z"},
        {"createdDate": "2025-06-10T08:00:05.120+00:00"},
        {"shortId": "12a456"},
        {"selfUri": "/sessions/1"},
        {"eventCount": 0},
        {"conversation": {"id": "c"}},
    ],
    ids=str,
)
def test_a_snapshot_that_the_contract_forbids_is_invalid(wrong: Json) -> None:
    assert not SESSION.is_valid({**MESSAGES["session-snapshot"], **wrong})


@pytest.mark.parametrize(
    "member",
    ["id", "type", "eventCount", "lastEvent", "durationInSeconds", "authenticated", "selfUri", "createdDate"],
)
def test_a_snapshot_without_what_is_always_there_is_invalid(member: str) -> None:
    snapshot = {name: value for name, value in MESSAGES["session-snapshot"].items() if name != member}

    assert not SESSION.is_valid(snapshot)


@pytest.mark.parametrize("member", ["type", "originatingDirection", "lastUserDisconnectType", "lastAcdOutcome"])
def test_a_value_that_nobody_knows_yet_is_valid_where_the_contract_is_open(member: str) -> None:
    SESSION.validate({**MESSAGES["session-snapshot"], member: "Unheard"})


def test_the_example_snapshots_are_what_the_example_events_give() -> None:
    lines = [json.dumps(event).encode() for event in examples.events().values()]

    sessions = replay(("log", lines)).sessions

    shown = [message for name, message in MESSAGES.items() if schema_of(name) == "session-snapshot"]
    without_short_id = [{name: session[name] for name in session if name != "shortId"} for session in shown]
    assert sorted(without_short_id, key=lambda session: session["createdDate"]) == sessions


REFUSED = Refused(MemoryRecord(3, 7, b"{" * 70_000, timestamp=1_749_542_600_250), Reason.NOT_JSON, "cut off")


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("snapshot-headers", headers_of("s", 7, Told(b"", b"2025-06-10T08:00:05.120Z"))),
        ("tombstone-headers", snapshot_record(Change("s", 7, None, merged_into="t"))[1]),
        ("reject-headers", reject_record(REFUSED, "journey-events", hidden=False)[2]),
    ],
)
def test_the_headers_that_are_written_are_those_of_the_schema(name: str, headers: list[tuple[str, bytes]]) -> None:
    texts = {header: value.decode() for header, value in headers}

    Draft202012Validator(SCHEMAS[name]).validate(texts)
    # The two name what is missing where a topic takes no more.
    assert texts.keys() == SCHEMAS[name]["properties"].keys() - {LEFT_OUT, REJECT_LEFT_OUT}


@pytest.mark.parametrize("line", lines_of("rejects"))
def test_an_expected_reject_is_valid(line: bytes) -> None:
    Draft202012Validator(SCHEMAS["reject"]).validate({**json.loads(line), "detail": "free"})


@pytest.mark.parametrize("is_private", [False, True])
def test_a_reject_that_replay_writes_is_valid(tmp_path: Path, *, is_private: bool) -> None:
    coded = Refused(MemoryRecord(0, 1, b"\xff", key=b"\xff"), Reason.NOT_JSON, "bad UTF-8")
    with Output(str(tmp_path / "rejects.jsonl")) as output:
        publisher = ReplayPublisher(topic_of=lambda _: "log", rejects=RejectsFile(output), is_private=is_private)
        publisher.publish([], [REFUSED, coded], {}, None)

    lines = (tmp_path / "rejects.jsonl").read_bytes().splitlines()

    assert len(lines) == 2
    for line in lines:
        Draft202012Validator(SCHEMAS["reject"]).validate(json.loads(line))
