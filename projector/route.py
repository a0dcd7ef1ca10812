"""Which session an event belongs to, as far as the event alone says it (contract §3)."""

from functools import lru_cache
from uuid import NAMESPACE_URL, uuid5

import msgspec

from projector.decode import Reason, Rejected
from projector.events import AppEvent, CustomEvent, Event, Heartbeat, WebEvent


def route(event: Event) -> str | Rejected:
    """The id of the session that the event names, or why there is none."""
    if event.session_id is not None:
        return event.session_id
    match event.payload:
        case CustomEvent() as custom:
            if event.session_type and custom.external_id:
                return _custom_session_id(event.session_type, custom.external_id)
            return _no_identity("a custom event needs `session.id`, or `session.type` and `customEvent.externalId`")
        case WebEvent() | AppEvent():
            return _visit(event)
        case Heartbeat() if event.session_type in (None, "web", "app"):
            return _visit(event)
        case Heartbeat():
            return _no_identity("a heartbeat without `session.id` needs a `session.type` of web or app")
        case _:
            return _no_identity("an event of this type needs `session.id`")


def _visit(event: Event) -> Rejected:
    if event.customer_id is None:
        return _no_identity("neither `session.id` nor `customerId` is given")
    return _no_identity("`session.id` is missing, and raw visits are not sessionized yet")


def _no_identity(detail: str) -> Rejected:
    return Rejected(Reason.NO_IDENTITY, detail)


@lru_cache(maxsize=65_536)
def _custom_session_id(session_type: str, external_id: str) -> str:
    return derived_id([session_type, external_id])


def derived_id(names: list[str | None]) -> str:
    """The id of a session that no event names: the same names give the same id, in every replay (contract §3)."""
    return str(uuid5(NAMESPACE_URL, "projector/" + msgspec.json.encode(names).decode()))
