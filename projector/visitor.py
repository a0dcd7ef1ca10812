"""The fold of a visitor's track: raw events into visits, and the events that name one of the visits by its id."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from projector.decode import Rejected
from projector.evolve import evolve
from projector.route import Visitor
from projector.rules import Rules
from projector.session import Session, event_key, last_activity
from projector.sessionize import (
    Placed,
    Visits,
    held_visits,
    knows,
    led_to,
    place,
    reach_of,
    visit_id,
)
from projector.track import (
    Account,
    Incoming,
    Outcome,
    Track,
    find,
    forget_late,
    is_late,
    revision_of,
    skipped,
    too_late,
)

Adopt = Callable[[Session, str, Incoming | None], list[Incoming]]
"""Joins into a visit what is kept under an id that is its own or was merged into it, makes the id lead to the visitor's
track, and gives the records of the batch that name it and come after the one that opened it (None: it is asked again,
for a visit that is open)."""


class Fold(Struct):
    """What the records of a batch did to a visitor's track."""

    accounts: list[Account] = []
    shown: set[str] = set()
    """Ids of the visits to be published: changed, or touched by a record that was delivered again."""
    withdrawn: set[str] = set()
    """Ids whose tombstone is to be published."""
    strayed: dict[str, list[Incoming]] = {}
    """Records that name a visit that is held no more: its id is that of a session of its own from then on."""


def fold_visits(
    track: Track,
    visitor: Visitor,
    incoming: list[Incoming],
    *,
    committed: Mapping[int, int],
    adopt: Adopt,
    rules: Rules,
    cuts: Counter[str],
) -> Fold:
    """Fold the records of one visitor, each partition's in order, into its track, in place."""
    folder = _Folder(track, visitor, incoming, adopt, rules, cuts)
    forget_late(track, committed)
    return folder.run()


def fold_going_on(
    track: Track, visitor: Visitor, incoming: Sequence[Incoming], rules: Rules, cuts: Counter[str]
) -> list[Account] | None:
    """Fold records that no visit is opened, merged or split by; gives those that were duplicates.

    None, and nothing is changed, where that is not plain, or one of them was folded before.
    """
    if len(track.sessions) != 1 or track.visits is None or track.visits.walls or track.visits.merged or track.late:
        return None
    visit, applied, reach = track.sessions[0], track.applied, reach_of(visitor, rules)
    first, last = visit.created, visit.last
    if first is None or last is None:
        return None
    held_to = last + rules.retention if rules.retention else None
    for record in incoming:
        event = record.event
        if (
            not first - reach <= event.at <= last + reach
            or record.offset < applied.get(record.partition, 0)
            or (held_to is not None and record.clock > held_to)
            or getattr(event.payload, "mkt_campaign", None) is not None
        ):
            return None
    odd = list[Account]()
    for record in incoming:
        applied[record.partition] = record.offset + 1
        if evolve(visit, record.event, rules, cuts):
            visit.positions[record.partition] = record.offset + 1
        else:
            odd.append((record, Outcome.DUPLICATE))
    return odd


class _Folder:
    """One batch for one visitor; `queue` grows by records that name a visit opened on the way."""

    def __init__(
        self,
        track: Track,
        visitor: Visitor,
        incoming: list[Incoming],
        adopt: Adopt,
        rules: Rules,
        cuts: Counter[str],
    ) -> None:
        self.track, self.visitor, self.adopt, self.rules, self.cuts = track, visitor, adopt, rules, cuts
        self.queue = deque(incoming)
        self.visits = track.visits = track.visits if track.visits is not None else Visits()
        self.fold = Fold()

    def run(self) -> Fold:
        again: set[str] = set()
        is_again = False
        while self.queue:
            record = self.queue.popleft()
            if record.offset < self.track.applied.get(record.partition, 0):
                self.fold.accounts.append((record, skipped(self.track, record, self.rules)))
                again |= self._touched_since(record)
                is_again = True
                continue
            named = record.event.session_id
            if named is not None and self._strays(record, named):
                self.fold.strayed.setdefault(named, []).append(record)
                continue
            self.fold.accounts.append((record, self._take(record)))
            self.track.applied[record.partition] = record.offset + 1
        for session in [session for session in self.track.sessions if session.id in again]:
            self.adopt(session, session.id, None)  # The worker that opened it may have died before its id led here.
        for lost in self.visits.merged if is_again else ():
            into = find(self.track, lost)
            if into is not None:
                self.adopt(into, lost, None)
        self.fold.shown |= again
        self.fold.shown &= {session.id for session in self.track.sessions}
        return self.fold

    def _touched_since(self, record: Incoming) -> set[str]:
        """Visits that this record, or one after it, changed; and tombstones that may not have been published."""
        self.fold.withdrawn |= self.visits.merged.keys()
        at, offset = record.partition, record.offset
        return {session.id for session in self.track.sessions if session.positions.get(at, 0) > offset}

    def _take(self, record: Incoming) -> Outcome | Rejected:
        track, event = self.track, record.event
        held = held_visits(track.sessions, record.clock, self.rules)
        if event.session_id is not None:
            return self._take_named(record, event.session_id, held)
        if event.id and knows(held, event_key(event.id.encode())):
            return Outcome.DUPLICATE
        ids = {session.id for session in held}
        placed = place(
            held,
            self.visits,
            self.visitor,
            event,
            is_late=is_late(record, self.rules),
            adopt=lambda session: self._opened(session, record),
            rules=self.rules,
            cuts=self.cuts,
        )
        if placed.is_duplicate:
            return Outcome.DUPLICATE
        if placed.session is None:
            return too_late(track, record, self.rules)
        ids |= {session.id for session in held}  # One that opens may have the id of one that is past.
        track.sessions = [*(session for session in track.sessions if session.id not in ids), *held]
        if track.home is None:
            track.home = record.partition
        self._moved(record, placed)
        return Outcome.FOLDED

    def _take_named(self, record: Incoming, named: str, held: list[Session]) -> Outcome | Rejected:
        session = led_to(held, self.visits, named)
        if session is None:
            return too_late(self.track, record, self.rules)
        if not evolve(session, record.event, self.rules, self.cuts):
            return Outcome.DUPLICATE
        self._moved(record, Placed(session, touched=(session,)))
        return Outcome.FOLDED

    def _strays(self, record: Incoming, named: str) -> bool:
        if named in self.fold.strayed:
            return True
        held = held_visits(self.track.sessions, record.clock, self.rules)
        return not is_late(record, self.rules) and led_to(held, self.visits, named) is None

    def _opened(self, session: Session, record: Incoming) -> None:
        later = self.adopt(session, session.id, record)
        if later:
            merged = sorted([*self.queue, *later], key=lambda one: (one.partition, one.offset))
            self.queue = deque(merged)

    def _moved(self, record: Incoming, placed: Placed) -> None:
        for session in (*placed.touched, *placed.withdrawn):
            session.positions[record.partition] = record.offset + 1
            self.fold.shown.add(session.id)
        assert placed.session is not None
        for lost in placed.withdrawn:
            # An end would make it odd; a withdrawal is the last there is of it.
            tombstone = 2 * (revision_of(self.track, lost, self.rules) // 2) + 1
            self.visits.merged[lost.id] = (placed.session.id, tombstone, lost.short_id)
            self.fold.withdrawn.add(lost.id)


def foresee(track: Track, visitor: Visitor, incoming: list[Incoming], rules: Rules) -> list[str]:
    """Ids of visits that these records are likely to open, so that what is kept under them is loaded at once."""
    reach = reach_of(visitor, rules)
    spans = [(session.created or last_activity(session), last_activity(session)) for session in track.sessions]
    ids = []
    for record in incoming:
        at, fresh = record.event.at, record.offset >= track.applied.get(record.partition, 0)
        if fresh and record.event.session_id is None and not any(a - reach <= at <= b + reach for a, b in spans):
            ids.append(visit_id(visitor, record.event))
        spans.append((at, at))
    return ids
