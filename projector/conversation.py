"""What is kept of one conversation, and its fold; joined into the journey sessions that it names (contract §3.4).

Every part is a join (latest, first, least, union), so a copy that lags behind can be joined at any time and does no
harm.
"""

from collections import Counter

from msgspec import Struct

from projector.events import ConversationEvent, Event

CONNECTIONS_MAX = 100
"""How many connections are kept for wrap-ups that come late; the newest stay."""
LINKS_MAX = 100
"""How many journey sessions one conversation may be linked to; the least ids stay."""

Stamp = tuple[int, str]
"""(ms, event id): the order of events; ties of time are decided by the id (contract §1)."""
Stamped = tuple[int, str, str]
"""(ms, event id, value)."""
Disposition = tuple[int, int, str, str, str | None, str | None]
"""(ms, 1 for `acw` and 0 for `wrapup`, event id, code, notes, user): in this order the latest counts."""


class Talk(Struct, array_like=True, gc=False):
    """One conversation's facts; fields 27-34, 39, 42 of every session that it belongs to come from them."""

    latest: Stamp
    started: int | None = None
    """The latest `customer.start`, ms."""
    stopped: int | None = None
    """The latest `customer.end`, ms."""
    queue: Stamped | None = None
    connections: list[Stamped] = []
    """(ms, event id, user), ascending."""
    disposition: Disposition | None = None
    """The latest that names its user."""
    unassigned: Disposition | None = None
    """The latest without a user: shown once a connection not later than it is known (row 29)."""
    channels: dict[str, Stamp] = {}
    """`type\\nmessageType\\nplatform` to its first use."""
    direction: Stamped | None = None
    subject: Stamped | None = None
    disconnect: Stamped | None = None
    """Of the latest `user.end` that had a connection."""
    disconnect_any: Stamped | None = None
    outcome: Stamped | None = None
    contact: Stamped | None = None
    links: list[str] = []
    """Ids of the journey sessions that a `journeyContext` named, ascending."""


_ENUM = {
    "TRANSPORT_FAILURE": "TransportFailure",
    "CONFERENCE_TRANSFER": "ConferenceTransfer",
    "CONSULT_TRANSFER": "ConsultTransfer",
    "FORWARD_TRANSFER": "ForwardTransfer",
    "NO_ANSWER_TRANSFER": "NoAnswerTransfer",
    "NOT_AVAILABLE_TRANSFER": "NotAvailableTransfer",
    "DND_ENDPOINT": "DoNotDisturbEndpoint",
    "DND_TRANSFER": "DoNotDisturbTransfer",
    "SESSION_EXPIRED": "SessionExpired",
    "FLOW_OUT": "FlowOut",
    "INTERNALMESSAGE": "InternalMessage",
    "WHATSAPP": "WhatsApp",
    "WEBMESSAGING": "WebMessaging",
    "INACTIVITY": "Other",
} | {
    word: word.capitalize()
    for word in (
        "UNKNOWN INBOUND OUTBOUND ABANDON ANSWERED ENDPOINT CLIENT SYSTEM TRANSFER ERROR PEER OTHER SPAM TIMEOUT"
        " UNCALLABLE TAKEOVER VOICE CHAT EMAIL CALLBACK COBROWSE VIDEO SCREENSHARE MESSAGE SMS TWITTER FACEBOOK LINE"
        " OPEN INSTAGRAM APPLE"
    ).split()
}


def spelled(value: str) -> str:
    """The Session's spelling of a detail event's enum value (journey domain §2.10); unknown ones stay as they came."""
    return _ENUM.get(value, value)


def evolve_talk(talk: Talk, event: Event, payload: ConversationEvent, *, channels_max: int, cuts: Counter[str]) -> None:
    """Fold one conversation event into `talk`, in place; `cuts` counts what bounds cut off."""
    at, event_id, what = event.at, event.id, event.name
    talk.latest = max(talk.latest, (at, event_id))
    _common(talk, event, payload, channels_max=channels_max, cuts=cuts)
    talked = what == "user.start" or (what == "user.end" and (payload.interacting_duration_ms or 0) > 0)
    outcome = spelled(payload.acd_outcome) if what == "acd.end" and payload.acd_outcome else None
    if payload.queue_id and (talked or outcome == "Answered"):
        talk.queue = _later(talk.queue, (at, event_id, payload.queue_id))
    user = payload.user_id if talked else payload.answered_user_id if what == "acd.end" else None
    if user:
        talk.connections = sorted({*talk.connections, (at, event_id, user)})[-CONNECTIONS_MAX:]
    if outcome:
        talk.outcome = _later(talk.outcome, (at, event_id, outcome))
    match what:
        case "customer.start":
            talk.started = at if talk.started is None else max(talk.started, at)
        case "customer.end":
            talk.stopped = at if talk.stopped is None else max(talk.stopped, at)
        case "user.end" if payload.disconnect_type:
            left = (at, event_id, spelled(payload.disconnect_type))
            talk.disconnect_any = _later(talk.disconnect_any, left)
            talk.disconnect = _later(talk.disconnect, left) if talked else talk.disconnect
        case "acw" | "wrapup" if payload.wrapup_code:
            user = payload.user_id or None if what == "acw" else None
            done = (at, int(what == "acw"), event_id, payload.wrapup_code, payload.wrapup_notes, user)
            if user:
                talk.disposition = done if talk.disposition is None else max(talk.disposition, done, key=_order)
            else:
                talk.unassigned = done if talk.unassigned is None else max(talk.unassigned, done, key=_order)


def _common(talk: Talk, event: Event, payload: ConversationEvent, *, channels_max: int, cuts: Counter[str]) -> None:
    """What any conversation event may carry."""
    at, event_id = event.at, event.id
    if payload.direction:
        talk.direction = _earlier(talk.direction, (at, event_id, spelled(payload.direction)))
    if payload.subject:
        talk.subject = _later(talk.subject, (at, event_id, payload.subject))
    if payload.media_type:
        kinds = (payload.media_type, payload.message_type or "")
        channel = "\n".join((*map(spelled, kinds), payload.provider or ""))
        talk.channels[channel] = min(talk.channels.get(channel, (at, event_id)), (at, event_id))
        cuts["channels"] += len(talk.channels) > channels_max
        talk.channels = _earliest(talk.channels, channels_max)
    if event.external_contact is not None and event.external_contact.id:
        talk.contact = _later(talk.contact, (at, event_id, event.external_contact.id))
    context = payload.journey_context
    if context is not None:
        named = context.customer_session.id if context.customer_session is not None else None
        link = named or context.session_id
        if link and link != event.session_id:
            talk.links = sorted({*talk.links, link})[:LINKS_MAX]


def join_talk(left: Talk | None, right: Talk, *, channels_max: int) -> Talk:
    """What both know of one conversation, or of several whose events are taken together."""
    if left is None:
        left = Talk(latest=right.latest)
    channels = dict(left.channels)
    for channel, first in right.channels.items():
        channels[channel] = min(channels.get(channel, first), first)
    return Talk(
        max(left.latest, right.latest),
        _greater(left.started, right.started),
        _greater(left.stopped, right.stopped),
        _later(left.queue, right.queue),
        sorted({*left.connections, *right.connections})[-CONNECTIONS_MAX:],
        _last(left.disposition, right.disposition),
        _last(left.unassigned, right.unassigned),
        _earliest(channels, channels_max),
        _earlier(left.direction, right.direction),
        _later(left.subject, right.subject),
        _later(left.disconnect, right.disconnect),
        _later(left.disconnect_any, right.disconnect_any),
        _later(left.outcome, right.outcome),
        _later(left.contact, right.contact),
        sorted({*left.links, *right.links})[:LINKS_MAX],
    )


def ended_by_customer(talk: Talk) -> int | None:
    """The latest `customer.end`, unless a `customer.start` is later (contract §4), ms."""
    if talk.stopped is None or (talk.started is not None and talk.started > talk.stopped):
        return None
    return talk.stopped


def last_user(talk: Talk) -> str | None:
    return talk.connections[-1][2] if talk.connections else None


def shown_disposition(talk: Talk) -> Disposition | None:
    """Row 29: the latest whose user is known; a `wrapup`'s is that of the latest connection not later than it."""
    waiting = talk.unassigned
    if waiting is None:
        return talk.disposition
    users = [user for at, _, user in talk.connections if at <= waiting[0]]
    return _last(talk.disposition, (*waiting[:5], users[-1])) if users else talk.disposition


def _order(disposition: Disposition) -> tuple[int, int, str]:
    return disposition[:3]


def _last(left: Disposition | None, right: Disposition | None) -> Disposition | None:
    if left is None or right is None:
        return left or right
    return max(left, right, key=_order)


def _later(left: Stamped | None, right: Stamped | None) -> Stamped | None:
    if left is None or right is None:
        return left or right
    return max(left, right)


def _earlier(left: Stamped | None, right: Stamped | None) -> Stamped | None:
    if left is None or right is None:
        return left or right
    return min(left, right)


def _greater(left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return right if left is None else left
    return max(left, right)


def _earliest(uses: dict[str, Stamp], most: int) -> dict[str, Stamp]:
    return uses if len(uses) <= most else dict(sorted(uses.items(), key=lambda use: (use[1], use[0]))[:most])
