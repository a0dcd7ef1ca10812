"""Which track an event belongs to, as far as the event alone says it (contract §3)."""

from collections.abc import Sequence
from typing import NewType
from uuid import NAMESPACE_URL, uuid5

import msgspec
from msgspec import Struct

from projector.decode import Reason, Rejected
from projector.events import AppEvent, CustomEvent, Event, Heartbeat, WebEvent
from projector.remembers import remembers

TrackKey = NewType("TrackKey", str)
"""`s:` and a session id, or `v:` and a visitor as a JSON array. Stored, so a change is a migration."""

_NAMED, _VISITOR = "s:", "v:"
_encode = msgspec.json.Encoder().encode


class Visitor(Struct, frozen=True, array_like=True, gc=False):
    """Whose visits are sessionized together (contract §3, rule 3)."""

    customer_id_type: str | None
    customer_id: str
    type: str
    """`web` or `app`."""


def route(event: Event) -> TrackKey | Rejected:
    """The track of the session that the event names, or of its visitor; or why there is none."""
    if event.session_id is not None:
        return _NAMED + event.session_id  # type: ignore[return-value]  # `named_track` without two calls an event
    match event.payload:
        case CustomEvent() as custom:
            if event.session_type and custom.external_id:
                return named_track(_custom_session_id(event.session_type, custom.external_id))
            return _no_identity("a custom event needs `session.id`, or `session.type` and `customEvent.externalId`")
        case WebEvent():
            event.visit_type = "web"
            return _visit(event, "web")
        case AppEvent():
            event.visit_type = "app"
            return _visit(event, "app")
        case Heartbeat() if event.session_type in (None, "web", "app"):
            return _visit(event, event.session_type or "web")
        case Heartbeat():
            return _no_identity("a heartbeat without `session.id` needs a `session.type` of web or app")
        case _:
            return _no_identity("an event of this type needs `session.id`")


def named_track(session_id: str) -> TrackKey:
    return TrackKey(_NAMED + session_id)


def session_of(key: TrackKey) -> str:
    """The id of a named track's session."""
    return key[len(_NAMED) :]


def is_visitor(key: TrackKey) -> bool:
    return key.startswith(_VISITOR)


def visitor_of(key: TrackKey) -> Visitor:
    """The visitor of a visitor's track."""
    return _visitor_in(key)


@remembers(65_536)
def _visitor_in(key: str) -> Visitor:
    return msgspec.json.decode(key[len(_VISITOR) :], type=Visitor)


def _visit(event: Event, visit_type: str) -> TrackKey | Rejected:
    if event.customer_id is None:
        return _no_identity("neither `session.id` nor `customerId` is given")
    return _visitor_track(event.customer_id_type, event.customer_id, visit_type)


def _visitor_track(customer_id_type: str | None, customer_id: str, visit_type: str) -> TrackKey:
    return TrackKey(_VISITOR + _encode((customer_id_type, customer_id, visit_type)).decode())


def _no_identity(detail: str) -> Rejected:
    return Rejected(Reason.NO_IDENTITY, detail)


def _custom_session_id(session_type: str, external_id: str) -> str:
    return derived_id((session_type, external_id))


def derived_id(names: Sequence[str | None]) -> str:
    """The id of a session that no event names: the same names give the same id, in every replay (contract §3)."""
    return _id_of(msgspec.json.encode(names).decode())


@remembers(16_384)
def _id_of(names: str) -> str:
    """Remembered: a custom session's id comes with every event of it, a visit's twice in the turn that opens it."""
    return str(uuid5(NAMESPACE_URL, "projector/" + names))
