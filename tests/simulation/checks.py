"""What must hold when all is at rest (contract §8), as a committed reader and the store's owner see it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from projector.ledger import mark_of
from projector.session import ended_at, is_published
from projector.track import SWEEP_SLACK, revision_of
from tests.memory import MemoryRecord, play
from tests.oracle import replay as oracle
from tests.oracle.settings import Settings
from tests.oracle.times import parse_ms
from tests.simulation.broker import Published
from tests.simulation.kafka import content_of

if TYPE_CHECKING:
    from tests.simulation.world import Facts, SimWorld

Content = dict[str, tuple[int, bytes]]
"""By session id its revision and its snapshot, short id apart."""


def judge(world: SimWorld, *, thoroughly: bool) -> list[str]:
    """Every law that does not hold, in words; the oracle is slow and asked only `thoroughly`."""
    log = dict(enumerate(world.broker.log))
    found = [*_state(world, log), *_orders(world), *_short_ids(world)]
    if not thoroughly:
        return found
    records = [record for held in log.values() for record in held]
    expected = oracle.fold(
        (oracle.Record("simulated", one.partition, one.offset, one.value, one.timestamp) for one in records),
        as_of=world.time.ms,
        started=world.time.ms,
        settings=Settings(retention=world.plan.retention),
    )
    return [*found, *_right(world, expected), *_accounts(world, expected, records)]


def _state(world: SimWorld, log: dict[int, list[MemoryRecord]]) -> list[str]:
    """Laws 2, 3 and 5: store, newest snapshots, and a fold of the whole log without any trouble are the same."""
    stored: Content = {}
    for _, track in world.nodes.tracks():
        for session in track.sessions:
            if is_published(session):
                stored[session.id] = revision_of(track, session, world.rules), content_of(session, world.rules)
    published = newest(world)
    # An id that comes back after the retention with nothing to publish hides what was published of it, in one batch.
    sizes = itertools.repeat(1) if world.plan.forgets else ()
    played = play(log, world.rules, sizes=sizes, as_of=world.time.ms)
    again = {one: (played.revisions[one][-1], _bare(value)) for one, value in played.values.items()}
    gone = {one for one, at in again.items() if one not in stored and _may_be_forgotten(at[1], world)}
    for one in gone & published.keys():  # A record that is too late counts while the track is there.
        published[one] = (again[one][0], published[one][1])
    return [
        *_differences("published", published, "folded again", again),
        *_differences("stored", stored, "folded again", {one: at for one, at in again.items() if one not in gone}),
    ]


def _may_be_forgotten(snapshot: bytes, world: SimWorld) -> bool:
    """The clock of its partition may have gone past all that the store has to keep it for."""
    session = msgspec.json.decode(snapshot)
    last: int = parse_ms(session["createdDate"]) + 1000 * session["durationInSeconds"]
    clock = max(clocks[-1] for clocks in world.broker.clocks if clocks)
    return last + world.plan.retention + SWEEP_SLACK < clock


def newest(world: SimWorld) -> Content:
    """At least once a late one may stand last; then its revision tells (design §4)."""
    found: Content = {}
    for one in world.broker.read_committed():
        if one.value is None:
            found.pop(one.session_id, None)
        elif world.plan.exactly_once or one.revision >= found.get(one.session_id, (-1, b""))[0]:
            found[one.session_id] = (one.revision, one.value)
    return found


def _bare(value: bytes) -> bytes:
    """Without the short id, which an embedded store gives too."""
    session = msgspec.json.decode(value)
    if "shortId" not in session:
        return value
    return value.replace(b'"shortId":"%b",' % session["shortId"].encode(), b"", 1)


def _differences(left: str, lefts: Content, right: str, rights: Content) -> list[str]:
    return [
        f"{session_id} is {left} as {lefts.get(session_id)}\n   and {right} as {rights.get(session_id)}"
        for session_id in sorted(lefts.keys() | rights.keys())
        if lefts.get(session_id) != rights.get(session_id)
    ]


def _right(world: SimWorld, expected: oracle.Result) -> list[str]:
    """What is published is what the contract says, worked out apart from the product."""
    published = {one: msgspec.json.decode(value) for one, (_, value) in newest(world).items()}
    wanted = {session["id"]: session for session in expected.sessions}
    return [
        f"{one} is {published.get(one)}\n   but ought to be {wanted.get(one)}"
        for one in sorted(published.keys() | wanted.keys())
        if published.get(one) != wanted.get(one)
    ]


def _orders(world: SimWorld) -> list[str]:
    """Revisions, withdrawals and ends, in the order in which a committed reader sees them.

    What the contract lets go back for a moment (§6) does not once the world has come to rest.
    """
    found: list[str] = []
    last: dict[str, Published] = {}
    contents: dict[tuple[str, int], bytes | None] = {}
    facts = world.facts
    may_go_back = facts.two_owners or (facts.is_unkeyed and facts.store_lost) or not world.plan.exactly_once
    linked = _linked(world) if facts.store_lost else set[str]()
    for one in world.broker.read_committed():
        before = last.get(one.session_id)
        if before is not None and one.revision < before.revision and not may_go_back and one.session_id not in linked:
            found.append(f"{one.session_id} goes back from revision {before.revision} to {one.revision}")
        is_back = before is not None and before.value is None and one.value is not None
        if is_back and not may_go_back and not world.plan.forgets:  # After the retention an id begins anew.
            found.append(f"{one.session_id} was withdrawn and is back")
        if not _is_same(contents.setdefault((one.session_id, one.revision), one.value), one.value, facts):
            other = contents[one.session_id, one.revision]
            found.append(f"{one.session_id} has revision {one.revision} twice: {other!r}\n   and {one.value!r}")
        if one.is_too_early:
            found.append(f"{one.session_id} ended before it was due, in revision {one.revision}")
        last[one.session_id] = one
        if one is world.last_at_rest:
            may_go_back, linked = False, set()
    return found


def _linked(world: SimWorld) -> set[str]:
    """Sessions that records of another key say something of: for them no topic is keyed by session."""
    named = {
        told["sessionId"]
        for held in world.broker.log
        for record in held
        if record.value is not None and b"journeyContext" in record.value
        for told in [msgspec.json.decode(record.value)["eventBody"]["journeyContext"]]
    }
    merged = {
        one
        for _, track in world.nodes.tracks()
        if track.visits is not None and named & {*(session.id for session in track.sessions), *track.visits.merged}
        for one in (*(session.id for session in track.sessions), *track.visits.merged)
    }
    return named | merged


def _is_same(one: bytes | None, other: bytes | None, facts: Facts) -> bool:
    """A `SessionEnded` from another partition may be later than an end by time that the home's clock has not reached.

    Then both are ends, and the revision does not tell them apart; on a topic keyed by session that cannot be. Nor where
    such a topic is folded again after a loss, partitions in another order: what may go back (contract §6) may by chance
    come to the same sum of offsets.
    """
    if one == other or not facts.is_unkeyed:
        return one == other
    if facts.store_lost:
        return True
    if one is None or other is None:
        return False
    first, second = (msgspec.json.decode(value) for value in (one, other))
    return (
        {**first, "endedDate": None} == {**second, "endedDate": None} and "endedDate" in first and "endedDate" in second
    )


def _short_ids(world: SimWorld) -> list[str]:
    """Unique among sessions that have not ended. A node that loses claims alone is past what can be held."""
    if world.facts.store_lost and len(world.nodes.nodes) > 1:
        return []
    holders: dict[str | None, list[str]] = {}
    for _, track in world.nodes.tracks():
        for session in track.sessions:
            if is_published(session) and ended_at(session, world.rules) is None:
                holders.setdefault(session.short_id, []).append(session.id)
    return [f"short id {one} is had by {of}" for one, of in holders.items() if len(of) > 1 or one is None]


def _accounts(world: SimWorld, expected: oracle.Result, records: list[MemoryRecord]) -> list[str]:
    """Law 6, and rejects exactly once."""
    found = []
    ledgers = {one: mark_of(at.metadata).ledger for one, at in world.broker.committed.items()}
    found += [f"the ledger of {one} is {of.balance()} off: {of}" for one, of in ledgers.items() if of.balance()]
    known = Counter[str]()
    for ledger in ledgers.values():
        known += Counter(ledger.rejected) + Counter(tombstones=ledger.tombstones)
    wanted = Counter[str](expected.ledger["rejected"]) + Counter(tombstones=expected.ledger["tombstones"])
    if known != wanted:
        found.append(f"rejects and tombstones are counted as {known}, and were {wanted}")
    read = sum(ledger.read for ledger in ledgers.values())
    again = sum(ledger.redelivered for ledger in ledgers.values())
    if not len(records) <= read <= len(records) + again:
        found.append(f"{read} read and {again} of them again, of {len(records)}")
    return found + _rejects(world, expected)


def _rejects(world: SimWorld, expected: oracle.Result) -> list[str]:
    told = Counter((one.partition, one.offset, one.reason) for one in world.broker.rejects_committed())
    wanted: Counter[Any] = Counter((one["partition"], one["offset"], one["reason"]) for one in expected.rejects)
    if not world.plan.exactly_once or world.facts.two_owners:
        told = Counter(told.keys())
    return [f"rejects were published as {told}, and were {wanted}"] if told != wanted else []
