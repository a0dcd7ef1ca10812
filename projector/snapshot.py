"""Contract out: the 42-field `Snapshot` and how a session is written as one (contract §6).

`Snapshot` says what a reader gets; `snapshot_of` writes the same members in the same order from the JSON texts that a
session keeps, without building one. A test holds the two together.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from projector import slots
from projector.conversation import Talk, join_talk, last_user, shown_disposition
from projector.dates import format_time, format_time_json
from projector.models import Attribute, Browser, Campaign, Device, Geolocation, Model, Page, Reference, Referrer
from projector.rules import Rules
from projector.session import Session, ended_at, last_activity, type_of
from projector.values import json_of, referred

SCHEMA = "1"
"""The version of the snapshot, published as `projector.schema`: raised when a reader has to change."""

CE_SOURCE = b"/session-projector"
CE_TYPE = b"session-projector.session.snapshot"
CE_TYPE_TOMBSTONE = b"session-projector.session.withdrawn"


class OutcomeAchievement(Model):
    outcome: Reference
    achieved_date: str


class SegmentAssignment(Model):
    segment: Reference
    assigned_date: str


class AttributeList(Model):
    data_type: str
    values: list[str]


class LastEvent(Model):
    id: str
    event_name: str
    created_date: str


class Disposition(Model):
    code: str
    notes: str | None = None
    user: Reference | None = None


class Channel(Model):
    type: str
    message_type: str | None = None
    platform: str | None = None


class Snapshot(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """A session as it is published: members in the order of the contract's table, absent and empty ones left out."""

    id: str
    customer_id: str | None = None
    customer_id_type: str | None = None
    type: str
    external_id: str | None = None
    external_url: str | None = None
    short_id: str | None = None
    outcome_achievements: list[OutcomeAchievement] = []
    segment_assignments: list[SegmentAssignment] = []
    attributes: dict[str, Attribute] = {}
    attribute_lists: dict[str, AttributeList] = {}
    browser: Browser | None = None
    device: Device | None = None
    geolocation: Geolocation | None = None
    ip_address: str | None = None
    ip_organization: str | None = None
    last_page: Page | None = None
    mkt_campaign: Campaign | None = None
    referrer: Referrer | None = None
    search_terms: list[str] = []
    user_agent_string: str | None = None
    duration_in_seconds: int
    event_count: int
    pageview_count: int | None = None
    screenview_count: int | None = None
    last_event: LastEvent
    last_connected_queue: Reference | None = None
    last_connected_user: Reference | None = None
    last_user_disposition: Disposition | None = None
    conversation_channels: list[Channel] = []
    originating_direction: str | None = None
    conversation_subject: str | None = None
    last_user_disconnect_type: str | None = None
    last_acd_outcome: str | None = None
    authenticated: bool
    self_uri: str
    created_date: str
    ended_date: str | None = None
    external_contact: Reference | None = None
    away_date: str | None = None
    idle_date: str | None = None
    conversation: Reference | None = None


def snapshot_of(session: Session, rules: Rules) -> bytes:
    """The published JSON of a session that has at least one visitor event."""
    parts: list[bytes] = []
    kind = type_of(session)
    talk = _talk_of(session, rules)
    _who(parts, session, kind)
    _collected(parts, session)
    _browsing(parts, session)
    _counts(parts, session, kind)
    if talk is not None:
        _conversation(parts, talk)
    _dates(parts, session, kind, talk, rules)
    return b"{" + b"".join(parts)[1:] + b"}"


Header = tuple[str, bytes]


def headers_of(session: Session, revision: int, rules: Rules) -> list[Header]:
    """Revision and schema, and the CloudEvents attributes of the Kafka protocol binding (binary mode)."""
    told = b"%d" % revision, f"{session.id}/{revision}".encode(), format_time(told_at(session, rules)).encode()
    return headers_around(*told)


def headers_around(revision: bytes, event_id: bytes, time: bytes) -> list[Header]:
    """The headers of a snapshot, by the three that are not the same for all."""
    return [
        ("projector.revision", revision),
        ("projector.schema", SCHEMA.encode()),
        ("content-type", b"application/json"),
        ("ce_id", event_id),
        ("ce_source", CE_SOURCE),
        ("ce_type", CE_TYPE),
        ("ce_time", time),
        ("ce_specversion", b"1.0"),
    ]


def told_at(session: Session, rules: Rules) -> int:
    """`ce_time`, ms: when what is told last of the session came to be, its end or an activity."""
    last, ended = last_activity(session), ended_at(session, rules)
    return last if ended is None or ended < last else ended


# The parts, each a run of members; every piece begins with a comma.

_encode = msgspec.json.Encoder().encode


def _put(parts: list[bytes], name: bytes, text: bytes | None) -> None:
    if text is not None:
        parts += (b',"', name, b'":', text)


def _who(parts: list[bytes], session: Session, kind: str) -> None:
    values = session.values
    parts += (b',"id":', json_of(session.id))
    customer = values[slots.CUSTOMER]
    if customer is not None:
        parts += (b",", customer[1:-1])  # Kept as one object: its members go in as they are.
    parts += (b',"type":', json_of(kind))
    _put(parts, b"externalId", values[slots.EXTERNAL_ID])
    _put(parts, b"externalUrl", values[slots.EXTERNAL_URL])
    if session.short_id is not None:
        parts += (b',"shortId":"', session.short_id.encode(), b'"')


def _collected(parts: list[bytes], session: Session) -> None:
    """Fields 8 to 11."""
    if session.outcomes:
        achieved = sorted(session.outcomes.items(), key=lambda one: (one[1][0], one[0]))
        uri = "/api/v2/journey/outcomes/"
        pairs = ((referred(outcome, given, uri), at) for _, (at, outcome, given) in achieved)
        _put(parts, b"outcomeAchievements", _dated(b"outcome", b"achievedDate", pairs))
    assigned = sorted((one[3], segment, one[4]) for segment, one in session.segments.items() if one[2])
    if assigned:
        pairs = ((referred(segment, given, "/api/v2/journey/segments/"), at) for at, segment, given in assigned)
        _put(parts, b"segmentAssignments", _dated(b"segment", b"assignedDate", pairs))
    if session.attributes:
        attributes = {name: Attribute(kept[1], kept[2]) for name, kept in sorted(session.attributes.items())}
        _put(parts, b"attributes", _encode(attributes))
    if session.lists:
        lists = {}
        for name, values in sorted(session.lists.items()):
            in_order = sorted(values, key=lambda value: (values[value], value))
            lists[name] = AttributeList(values[in_order[0]][2], in_order)
        _put(parts, b"attributeLists", _encode(lists))


def _dated(what: bytes, when: bytes, pairs: Iterable[tuple[bytes, int]]) -> bytes:
    items = (b'{"%b":%b,"%b":%b}' % (what, reference, when, format_time_json(at)) for reference, at in pairs)
    return b"[" + b",".join(items) + b"]"


_BROWSING = (
    (b',"browser":', slots.BROWSER, slots.DERIVED_BROWSER),
    (b',"device":', slots.DEVICE, slots.DERIVED_DEVICE),
    (b',"geolocation":', slots.GEOLOCATION, slots.DERIVED_GEOLOCATION),
    (b',"ipAddress":', slots.IP_ADDRESS, slots.IP_ADDRESS),
    (b',"ipOrganization":', slots.IP_ORGANIZATION, slots.DERIVED_IP_ORGANIZATION),
    (b',"lastPage":', slots.LAST_PAGE, slots.LAST_PAGE),
    (b',"mktCampaign":', slots.CAMPAIGN, slots.CAMPAIGN),
    (b',"referrer":', slots.REFERRER, slots.REFERRER),
)
"""Fields 12 to 19: name, what an event gave, and what stands in where none did."""


def _browsing(parts: list[bytes], session: Session) -> None:
    """Fields 12 to 21."""
    values = session.values
    for name, given, derived in _BROWSING:
        text = values[given] or values[derived]
        if text is not None:
            parts += (name, text)
    if session.terms:
        _put(parts, b"searchTerms", _encode(sorted(session.terms, key=session.terms.__getitem__)))
    _put(parts, b"userAgentString", values[slots.USER_AGENT])


def _counts(parts: list[bytes], session: Session, kind: str) -> None:
    """Fields 22 to 26."""
    duration = 0 if session.last is None or session.created is None else (session.last - session.created) // 1000
    parts.append(b',"durationInSeconds":%d,"eventCount":%d' % (duration, session.events))
    if session.pageviews or kind == "web":
        parts.append(b',"pageviewCount":%d' % session.pageviews)
    if session.screenviews or kind == "app":
        parts.append(b',"screenviewCount":%d' % session.screenviews)
    at, event_id = session.stamps[session.set_by[slots.LAST_EVENT]]
    name = session.values[slots.LAST_EVENT] or b'""'
    parts += (b',"lastEvent":{"id":', _encode(event_id), b',"eventName":', name)
    parts += (b',"createdDate":', format_time_json(at), b"}")


def _talk_of(session: Session, rules: Rules) -> Talk | None:
    """The events of all its conversations taken together; a wrap-up's user is found in its own conversation."""
    if not session.talks:
        return None
    if len(session.talks) == 1:
        return next(iter(session.talks.values()))
    joined: Talk | None = None
    for talk in session.talks.values():
        shown = shown_disposition(talk)
        alone = msgspec.structs.replace(talk, disposition=shown, unassigned=None)
        joined = join_talk(joined, alone, channels_max=rules.channels_max)
    return joined


def _conversation(parts: list[bytes], talk: Talk) -> None:
    """Fields 27 to 34."""
    if talk.queue is not None:
        _put(parts, b"lastConnectedQueue", referred(talk.queue[2], None, "/api/v2/routing/queues/"))
    user = last_user(talk)
    if user is not None:
        _put(parts, b"lastConnectedUser", referred(user, None, "/api/v2/users/"))
    done = shown_disposition(talk)
    if done is not None:
        by = Reference(done[5], f"/api/v2/users/{done[5]}")
        _put(parts, b"lastUserDisposition", _encode(Disposition(done[3], done[4], by)))
    if talk.channels:
        in_order = sorted(talk.channels, key=lambda channel: (talk.channels[channel], channel))
        channels = [Channel(*(part or None for part in channel.split("\n", 2))) for channel in in_order]  # type: ignore[arg-type]
        _put(parts, b"conversationChannels", _encode(channels))
    left = talk.disconnect or talk.disconnect_any
    for name, value in (
        (b"originatingDirection", talk.direction),
        (b"conversationSubject", talk.subject),
        (b"lastUserDisconnectType", left),
        (b"lastAcdOutcome", talk.outcome),
    ):
        if value is not None:
            _put(parts, name, _encode(value[2]))


def _dates(parts: list[bytes], session: Session, kind: str, talk: Talk | None, rules: Rules) -> None:
    """Fields 35 to 42."""
    parts.append(b',"authenticated":true' if session.authenticated else b',"authenticated":false')
    last = last_activity(session)
    created = session.created if session.created is not None else last
    parts += (b',"selfUri":"/api/v2/journey/sessions/', json_of(session.id)[1:])
    parts += (b',"createdDate":', format_time_json(created))
    ended = ended_at(session, rules)
    if ended is not None:
        parts += (b',"endedDate":', format_time_json(ended))
    _put(parts, b"externalContact", _contact(session, talk))
    if rules.timeout_of(kind) is not None:
        parts += (b',"awayDate":', format_time_json(last + rules.away_after))
        parts += (b',"idleDate":', format_time_json(last + rules.idle_after))
    if session.talks:
        latest = max(session.talks, key=lambda one: (session.talks[one].latest, one))
        conversation = session.id if session.id in session.talks else latest
        _put(parts, b"conversation", referred(conversation, None, "/api/v2/conversations/"))


def _contact(session: Session, talk: Talk | None) -> bytes | None:
    """Field 39: the latest of any event, those of its conversations included."""
    own = session.values[slots.EXTERNAL_CONTACT]
    if talk is None or talk.contact is None:
        return own
    at, event_id, contact = talk.contact
    if own is not None and session.stamps[session.set_by[slots.EXTERNAL_CONTACT]] >= (at, event_id):
        return own
    return referred(contact, None, "/api/v2/externalcontacts/contacts/")
