"""What has to hold of a pipeline once its input is folded, whatever happened on the way (contract §4, §6, §8)."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from projector.ledger import Ledger, total
from tests.end_to_end.pipeline import newest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.end_to_end.kcat import Message
    from tests.end_to_end.pipeline import Pipeline
    from tests.oracle.replay import Result

Json = dict[str, Any]

FROM_LISTS = {"browser", "device", "geolocation", "ipOrganization", "medium", "name", "keywords"}

SCHEMAS = Path(__file__).parents[2] / "schemas" / "v1"


def validator(name: str) -> Any:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


SNAPSHOT, SNAPSHOT_HEADERS = validator("session-snapshot"), validator("snapshot-headers")
TOMBSTONE_HEADERS = validator("tombstone-headers")
REJECT_HEADERS = validator("reject-headers")


def assert_end_is_right(pipeline: Pipeline, *, compared: Callable[[Json], Json] = dict) -> Result:
    """All of the promises below; gives what the oracle says. `compared` is what of a session the oracle can say.

    Of delivery at least once it is promised that the greatest revision is right, whatever comes twice or late.
    """
    expected = pipeline.expected()
    published = pipeline.published()
    assert_snapshots_are(pipeline.in_order(published), expected, compared)
    assert_withdrawn_by_merges(pipeline.in_order(published))
    if pipeline.is_exactly_once:
        assert_revisions_never_go_back(published)
    else:
        assert_a_revision_says_one_thing(published)
    assert_rejected_once_each(pipeline, expected)
    assert_ledger_balances(pipeline, expected)
    assert_redis_holds_what_is_published(pipeline)
    return expected


def assert_snapshots_are(
    published: Iterable[Message], expected: Result, compared: Callable[[Json], Json] = dict
) -> None:
    newest = newest_of(published)
    for message in newest.values():
        SNAPSHOT.validate(json.loads(message.value or b""))
        SNAPSHOT_HEADERS.validate(message.headers)
    sessions = {key: compared(json.loads(without_short_id(message.value or b""))) for key, message in newest.items()}
    right = {session["id"]: compared(session) for session in expected.sessions}
    assert sessions.keys() == right.keys()
    assert [difference(sessions[key], right[key]) for key in right if sessions[key] != right[key]] == []


def difference(session: Json, right: Json) -> Json:
    """By member what is and what should be."""
    members = session.keys() | right.keys()
    pairs = {name: (session.get(name), right.get(name)) for name in members}
    return {"id": right["id"]} | {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def assert_withdrawn_by_merges(published: Sequence[Message]) -> None:
    """A tombstone names the session that took over, which is still there or was taken over in its turn."""
    live = newest_of(published).keys()
    withdrawn = {message.key: message for message in published if message.key not in live}
    for message in withdrawn.values():
        assert message.value is None
        TOMBSTONE_HEADERS.validate(message.headers)
        assert message.headers["projector.merged-into"] in live | withdrawn.keys()


def assert_revisions_never_go_back(published: Iterable[Message]) -> None:
    assert gone_back(published) == {}


def gone_back(published: Iterable[Message]) -> dict[str | None, list[int]]:
    """By session id the revisions in the order in which they came, where that is not theirs."""
    revisions: dict[str | None, list[int]] = {}
    for message in published:
        revisions.setdefault(message.key, []).append(message.revision)
    return {key: seen for key, seen in revisions.items() if seen != sorted(seen)}


def assert_a_revision_says_one_thing(published: Iterable[Message]) -> None:
    """What comes again says what it said before."""
    said: dict[tuple[str | None, int], set[bytes | None]] = {}
    for message in published:
        told = None if message.value is None else without_short_id(message.value)
        said.setdefault((message.key, message.revision), set()).add(told)
    assert {one: told for one, told in said.items() if len(told) > 1} == {}


def assert_rejected_once_each(pipeline: Pipeline, expected: Result) -> None:
    """With the value as it was, and the headers that say where it came from and why; at least once each, if so asked."""
    rejected = pipeline.rejected()
    for message in rejected:
        REJECT_HEADERS.validate(message.headers)
    found = Counter((*origin_of(message), message.value) for message in rejected)
    if not pipeline.is_exactly_once:
        found = Counter(found.keys())
    assert found == Counter(
        (
            reject["reason"],
            reject["topic"],
            reject["partition"],
            reject["offset"],
            reject["timestamp"],
            value_of(reject),
        )
        for reject in expected.rejects
    )


def origin_of(reject: Message) -> tuple[str, str, int, int, int]:
    reason, topic = (reject.headers[f"projector.reject.{name}"] for name in ("reason", "topic"))
    partition, offset, timestamp = (
        int(reject.headers[f"projector.reject.{name}"]) for name in ("partition", "offset", "timestamp")
    )
    return reason, topic, partition, offset, timestamp


def value_of(reject: Json) -> bytes:
    text: str = reject["value"]
    return text.encode()


def assert_ledger_balances(pipeline: Pipeline, expected: Result) -> Ledger:
    """What became of a record is counted once; one that was read again after a kill counts as redelivered."""
    ledgers = [mark.ledger for mark in pipeline.marks().values()]
    assert [ledger.balance() for ledger in ledgers] == [0] * len(ledgers)
    book, right = total(ledgers), expected.ledger
    assert (book.tombstones, book.clamped, book.rejected) == (right["tombstones"], right["clamped"], right["rejected"])
    again = book.read - right["read"]
    assert 0 <= again <= book.redelivered
    assert book.folded + book.duplicates + book.redelivered - again == right["folded"] + right["duplicates"]
    assert book.folded <= right["folded"]
    return book


def assert_redis_holds_what_is_published(pipeline: Pipeline) -> None:
    assert pipeline.stored() == {key: message.value for key, message in pipeline.newest().items()}


def assert_live_equals_replay(pipeline: Pipeline) -> None:
    """Law 3: byte for byte, `shortId` apart, in the replay's order."""
    sessions = [(json.loads(message.value or b""), message.value or b"") for message in pipeline.newest().values()]
    in_order = sorted(sessions, key=lambda one: (one[0]["createdDate"], one[0]["id"]))
    live = [without_short_id(snapshot) for _, snapshot in in_order]
    assert live == [without_short_id(line) for line in pipeline.replay()]


def without_lists(session: Json) -> Json:
    """Without what lists of search engines, browsers and places tell, which the oracle does not know."""
    told = {name: value for name, value in session.items() if name not in FROM_LISTS}
    if "referrer" in told:
        told["referrer"] = {name: part for name, part in told["referrer"].items() if name not in FROM_LISTS}
    return told


def without_short_id(snapshot: bytes) -> bytes:
    return re.sub(rb'"shortId":"[0-9]+",', b"", snapshot)
