"""What a turn has to tell: the snapshots and tombstones of step 5, and what became of its events, for the ledger.

Law: every session touched whose home is here is published, also where all its records were skipped: that heals a
publish that was lost (design §3).
"""

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from operator import attrgetter

from projector.cache import Cached
from projector.deadlines import is_to_publish
from projector.decode import Rejected
from projector.draft import Draft
from projector.ledger import Mark
from projector.ports import Batch, Change, Offset, Partition, Refused
from projector.reading import Reading
from projector.rules import Rules
from projector.session import Session, is_published
from projector.sessionize import survivor
from projector.snapshot import told_of
from projector.track import Outcome, revision_of


def changes_of(draft: Draft, rules: Rules) -> list[Change]:
    """Snapshots, and tombstones of visits that were merged, in the order of the tracks."""
    changes: list[Change] = []
    for key, cached in draft.touched.items():
        if cached.change is not None:
            changes.append(cached.change)
            cached.change = None
        elif key not in draft.left and cached.track.home is not None:
            changes += _withdrawn(draft, cached)
            changes += [
                Change(session.id, revision_of(cached.track, session, rules), told_of(session, rules))
                for session in _shown(draft, cached, rules)
            ]
    return changes


def _shown(draft: Draft, cached: Cached, rules: Rules) -> list[Session]:
    """The sessions of a track whose home is here that are to be published."""
    key, track = cached.key, cached.track
    due = draft.due.get(key)
    is_only_due = due is not None and key not in draft.records and key not in draft.noted
    everything = not is_only_due and (track.visits is None or key in draft.noted)
    return [
        session
        for session in track.sessions
        if is_published(session)
        and (everything or session.id in draft.shown or (due is not None and is_to_publish(session, due, rules)))
    ]


def _withdrawn(draft: Draft, cached: Cached) -> list[Change]:
    """Tombstones of merged visits: of those withdrawn now, and of all where a record came again or a note waits."""
    key, visits = cached.key, cached.track.visits
    if visits is None or not visits.merged:
        return []
    merged = visits.merged
    ids = merged.keys() if key in draft.noted else draft.withdrawn.get(key, set()) & merged.keys()
    return [Change(lost, merged[lost][1], None, survivor(visits, lost)) for lost in sorted(ids)]


def account(
    draft: Draft, reading: Reading, batch: Batch, marks: Mapping[Partition, Mark], committed: Mapping[Partition, Offset]
) -> list[Refused]:
    """Enter into the ledgers what became of the events; gives those that were too late.

    Below the `committed` offset of its partition an event counts as redelivered, whatever became of it.
    """
    late: dict[tuple[Partition, Offset], Rejected] = {}
    folded = Counter(map(_partition_of, chain.from_iterable(draft.records.values())))
    for partition, again in reading.again.items():
        folded[partition] -= again
        marks[partition].ledger.redelivered += again
    for record, outcome in chain.from_iterable(draft.odd.values()):
        partition, ledger = record.partition, marks[record.partition].ledger
        if record.offset < committed.get(partition, 0):
            continue
        folded[partition] -= 1
        if outcome is Outcome.REDELIVERED:
            ledger.redelivered += 1
        elif outcome is Outcome.DUPLICATE:
            ledger.duplicates += 1
        else:
            assert isinstance(outcome, Rejected)
            ledger.reject(outcome.reason)
            late[partition, record.offset] = outcome
    for partition, count in folded.items():
        marks[partition].ledger.folded += count
    if not late:
        return []
    records = ((record, late.get((record.partition, record.offset))) for record in batch.records)
    return [Refused(record, why.reason.value, why.detail) for record, why in records if why is not None]


_partition_of = attrgetter("partition")
