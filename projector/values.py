"""The single values of a session, each with the stamp of the event that set it: latest or first, whatever the order."""

from typing import Any

import msgspec

from projector import slots
from projector.conversation import Stamp
from projector.events import Event
from projector.remembers import remembers
from projector.session import Session


def campaign_text(event: Event) -> bytes | None:
    """A web or app event's campaign as sessions keep it; campaigns differ if their texts do."""
    campaign = event.payload.mkt_campaign
    text = None if campaign is None else encode_json(campaign)
    return None if text == b"{}" else text


encode_json = msgspec.json.Encoder().encode


@remembers(65_536)
def json_of(text: str) -> bytes:
    """JSON text of what comes again and again: names, addresses, ids."""
    return encode_json(text)


def referred(reference: str | None, self_uri: str | None, path: str) -> bytes:
    """A reference as it is published; its `selfUri` is the event's, else made from `path` (contract §5)."""
    return encode_json({"id": reference, "selfUri": self_uri or f"{path}{reference}"})


def keep_newest(session: Session, stamp: Stamp) -> int:
    """The index of the stamp if it is after every other, else -1: then each value has to be compared."""
    newest, stamps = session.newest, session.stamps
    if newest >= 0 and stamp <= stamps[newest]:
        return -1
    place = session.spare
    if place >= 0:
        stamps[place] = stamp
        session.spare = -1
    else:
        place = stamped(session, stamp)
    session.newest = place
    return place


def spare(session: Session, before: int, place: int) -> None:
    """Leave the stamp that was the newest before the one at `place` to the next, if nothing refers to it any more."""
    attributes = session.attributes
    if before in session.set_by or before == place or len(attributes) > ATTRIBUTES_LOOKED_AT:
        return
    if before >= len(session.stamps):  # Stamps were dropped since, this one among them or counted anew.
        return
    for kept in attributes.values():
        if kept[0] == before:
            return
    session.spare = before


def keep_value(session: Session, slot: int, value: Any, stamp: Stamp, place: int) -> None:
    if value is None:
        return
    text = value if type(value) is bytes else encode_json(value)
    if text == b"{}":  # An object with no non-null member carries nothing.
        return
    if place >= 0:
        session.values[slot] = text
        session.set_by[slot] = place
    else:
        keep_latest(session, slot, text, stamp)


def keep_latest(session: Session, slot: int, text: bytes, stamp: Stamp, place: int = -1) -> None:
    """Keep the text if its event is the latest that carries one; `place` is the stamp's index if it is the newest."""
    if place < 0:
        have = session.set_by[slot]
        if have >= 0:
            kept = session.stamps[have]
            # Only heartbeats without ids can have equal stamps; their values decide.
            if stamp < kept or (stamp == kept and text <= (session.values[slot] or b"")):
                return
        place = stamped(session, stamp)
    session.values[slot] = text
    session.set_by[slot] = place


def keep_first(session: Session, slot: int, text: bytes, stamp: Stamp) -> None:
    have = session.set_by[slot]
    if have >= 0:
        kept = session.stamps[have]
        if stamp > kept or (stamp == kept and text >= (session.values[slot] or b"")):
            return
    if text != b"{}":
        session.values[slot] = text
        session.set_by[slot] = stamped(session, stamp)


def stamped(session: Session, stamp: Stamp) -> int:
    """The index of an event's stamp, which is among them from now on."""
    newest, stamps = session.newest, session.stamps
    if newest >= 0 and stamps[newest] == stamp:
        return newest
    if stamps and stamps[-1] == stamp:
        if session.spare == len(stamps) - 1:
            session.spare = -1
        return len(stamps) - 1
    if len(stamps) >= 2 * (slots.COUNT + len(session.attributes)):
        _drop_unused_stamps(session)
        stamps = session.stamps
    stamps.append(stamp)
    return len(stamps) - 1


def _drop_unused_stamps(session: Session) -> None:
    used = {*session.set_by, session.newest, *(kept[0] for kept in session.attributes.values())} - {-1}
    place = {old: new for new, old in enumerate(sorted(used))}
    session.stamps = [session.stamps[old] for old in place]
    session.set_by = [place[at] if at >= 0 else -1 for at in session.set_by]
    session.newest, session.spare = place.get(session.newest, -1), -1
    session.attributes = {name: (place[kept[0]], kept[1], kept[2]) for name, kept in session.attributes.items()}


ATTRIBUTES_LOOKED_AT = 32
"""Where a session has more, unused stamps wait until they are dropped all at once."""
