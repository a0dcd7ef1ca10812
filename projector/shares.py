"""Which worker of a replay folds which session.

Law: tracks that anything can pass between belong to one worker, so that each folds its own as if there were no others.
Sessions that events name are spread by their ids, visitors by theirs. A conversation and the sessions it names are
gathered at the first worker when the first record says so; so are all visits, once a record names what may be one by
its id. Whose a record is follows from its bytes only as a guess: whoever reads it and finds that it is somebody else's
hands it on.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

from projector.events import ConversationEvent
from projector.route import TrackKey, is_visitor, session_of, visitor_of
from projector.track import Incoming

FIRST = 0
"""The worker at which tracks are gathered."""

_SESSION = b'"session":{"id":"'
_NAMED = re.compile(
    rb'"session"\s*:\s*\{\s*(?:"type"\s*:\s*"[^"]*"\s*,\s*)?"id"\s*:\s*"([^"]*)"'
    rb'|"v2\.(?:detail\.events\.conversation|journey\.sessions)\.([^".]*)\.'
)
_CUSTOMER = re.compile(rb'"customerId"\s*:\s*"([^"]*)"')


class Shares:
    """How the tracks of a replay are shared out; all that take part are told the same, at the same record."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.gathered: set[bytes] = set()
        """Ids of sessions that conversations have brought together."""
        self.visits_gathered = False
        """Visits and everything that may be the id of one are the first worker's."""

    @property
    def is_gathering(self) -> bool:
        return bool(self.gathered) or self.visits_gathered

    def gather(self, ids: Iterable[str], *, visits: bool) -> None:
        self.gathered.update(one.encode() for one in ids)
        self.visits_gathered = self.visits_gathered or visits

    def owner_of(self, key: TrackKey) -> int:
        if not is_visitor(key):
            return self._owner(session_of(key).encode())
        return FIRST if self.visits_gathered else crc32(visitor_of(key).customer_id.encode()) % self.workers

    def guess(self, line: bytes) -> int:
        """The likely owner of a record's track; any answer is right, a wrong one costs reading the record twice."""
        at = line.find(_SESSION)
        if at >= 0:
            at += len(_SESSION)
            return self._owner(line[at : line.find(b'"', at)])
        named = _NAMED.search(line)
        if named is not None:
            return self._owner(named[1] or named[2] or b"")
        customer = _CUSTOMER.search(line)
        return FIRST if self.visits_gathered or customer is None else crc32(customer[1]) % self.workers

    def _owner(self, session_id: bytes) -> int:
        if self.visits_gathered and _may_be_a_visit(session_id):
            return FIRST
        return FIRST if session_id in self.gathered else crc32(session_id) % self.workers

    def found(self, work: Mapping[TrackKey, Sequence[Incoming]]) -> tuple[list[str], bool]:
        """What these records bring together and is not known yet: ids of sessions, and whether a visit is named."""
        ids: set[str] = set()
        visits = False
        for key, incoming in work.items():
            if not self.visits_gathered and not is_visitor(key) and _may_be_a_visit(session_of(key).encode()):
                visits = visits or any(one.event.session_id is not None for one in incoming)
            for one in incoming:
                if isinstance(one.event.payload, ConversationEvent):
                    ids.update(_linked(session_of(key), one.event.payload))
        visits = visits or any(_may_be_a_visit(one.encode()) for one in ids)
        return [one for one in ids if one.encode() not in self.gathered], visits and not self.visits_gathered


def _linked(conversation: str, payload: ConversationEvent) -> Iterable[str]:
    """The conversation and the sessions that it names, if it names any (contract §3, rule 4)."""
    context = payload.journey_context
    if context is None:
        return ()
    customer = context.customer_session
    named = [one for one in (context.session_id, customer.id if customer is not None else None) if one]
    return [conversation, *named] if named else ()


def _may_be_a_visit(session_id: bytes) -> bool:
    """Ids of visits are UUIDs of version 5 (contract §3, rule 3), which hardly any other id is."""
    return len(session_id) == 36 and session_id[14:15] == b"5"
