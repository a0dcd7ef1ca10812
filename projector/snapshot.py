"""Contract out: the 42-field `Snapshot` and how a session is written as one (contract §6).

`Snapshot` says what a reader gets; `snapshot_of` writes the same members in the same order from the JSON texts that a
session keeps, without building one. A test holds the two together.
"""

from typing import NamedTuple

import msgspec
from msgspec import Struct

from projector import slots
from projector.conversation import Talk, join_talk, last_user, shown_disposition
from projector.dates import GREATEST, MILLIS, MINUTES, SECONDS, format_time, format_time_json, written
from projector.models import Attribute, Browser, Campaign, Device, Geolocation, Model, Page, Reference, Referrer
from projector.rules import Rules
from projector.session import KeptAttribute, Session, ended_at, last_activity, type_of
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


class Told(NamedTuple):
    """What is published of a session."""

    text: bytes
    """The snapshot's JSON."""
    time: bytes
    """`ce_time`: when what is told last of the session came to be, its end or an activity."""


def snapshot_of(session: Session, rules: Rules) -> bytes:
    """The published JSON of a session that has at least one visitor event."""
    return told_of(session, rules).text


def told_of(session: Session, rules: Rules) -> Told:
    """What is published of a session that has at least one visitor event.

    All members stand in one tuple that is joined once: what is absent is empty there, and what few sessions have comes
    in runs of its own. To add what is there to a list, member by member, takes twice the time.
    """
    # fmt: off
    (browser, device, geolocation, ip_address, user_agent, page, event_name, ip_organization, external_id, external_url,
     contact, derived_browser, derived_device, derived_geolocation, derived_ip_organization, customer, kind,
     campaign, referrer) = session.values  # In the order of `slots`.
    # fmt: on
    talked = belongs = b""
    if session.talks:
        kind, talked, contact, belongs = _talked(session, rules)
    browser, device = browser or derived_browser, device or derived_device
    geolocation, ip_organization = geolocation or derived_geolocation, ip_organization or derived_ip_organization
    (at, event_id), session_id = session.stamps[session.set_by[_LAST_EVENT]], _encode(session.id)
    last = session.last if session.last is not None else last_activity(session)
    created = session.created if session.created is not None else last
    ended, short_id = ended_at(session, rules), session.short_id
    told = written(last)
    duration, events, views, screens = (last - created) // 1000, session.events, session.pageviews, session.screenviews
    # fmt: off
    text = b"".join((
        b'{"id":', session_id, b"" if customer is None else b"," + customer[1:-1],
        b',"type":', kind or b'"custom"',
        _outside(external_id, external_url) if external_id or external_url else b"",
        b"" if short_id is None else b',"shortId":"' + short_id.encode() + b'"',
        _achieved(session) if session.outcomes or session.segments else b"",
        _attributes(session.attributes) if session.attributes else b"", _lists(session) if session.lists else b"",
        b"" if browser is None else b',"browser":', browser or b"",
        b"" if device is None else b',"device":', device or b"",
        b"" if geolocation is None else b',"geolocation":', geolocation or b"",
        b"" if ip_address is None else b',"ipAddress":', ip_address or b"",
        b"" if ip_organization is None else b',"ipOrganization":', ip_organization or b"",
        b"" if page is None else b',"lastPage":', page or b"",
        b"" if campaign is None else b',"mktCampaign":', campaign or b"",
        b"" if referrer is None else b',"referrer":', referrer or b"",
        _terms(session) if session.terms else b"",
        b"" if user_agent is None else b',"userAgentString":', user_agent or b"",
        b',"durationInSeconds":', _NUMBERS[duration] if duration < _FEW else b"%d" % duration,
        b',"eventCount":', _NUMBERS[events] if events < _FEW else b"%d" % events,
        b',"pageviewCount":' if views or kind == _WEB else b"",
        b"" if not views and kind != _WEB else _NUMBERS[views] if views < _FEW else b"%d" % views,
        b"" if not screens and kind != _APP else b',"screenviewCount":%d' % screens,
        b',"lastEvent":{"id":', _encode(event_id), b',"eventName":', event_name or b'""',
        b',"createdDate":"', told if at == last else written(at), b'"}', talked,
        _AUTHENTICATED if session.authenticated else _ANONYMOUS, session_id[1:],
        b',"createdDate":"', MINUTES[created // 60_000], SECONDS[created // 1000 % 60], MILLIS[created % 1000], b'"',
        b"" if ended is None else b',"endedDate":' + format_time_json(ended),
        b"" if contact is None else b',"externalContact":', contact or b"",
        _away_and_idle(last, rules) if kind in (_WEB, _APP) else b"", belongs, b"}",
    ))
    # fmt: on
    return Told(text, told if ended is None or ended < last else format_time(ended).encode())


Header = tuple[str, bytes]


def headers_of(session_id: str, revision: int, told: Told) -> list[Header]:
    """Revision and schema, and the CloudEvents attributes of the Kafka protocol binding (binary mode)."""
    return headers_around(b"%d" % revision, f"{session_id}/{revision}".encode(), told.time)


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


_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode
"""Maps by name; objects keep their order."""

_LAST_EVENT = slots.LAST_EVENT
_ANONYMOUS = b',"authenticated":false,"selfUri":"/api/v2/journey/sessions/'
_AUTHENTICATED = _ANONYMOUS.replace(b"false", b"true")

_WEB, _APP = b'"web"', b'"app"'
"""The types that end after a time without activity; only they have dates of that (contract §3)."""

_FEW = 4096
_NUMBERS = tuple(b"%d" % number for number in range(_FEW))
"""To look a number up takes a quarter of the time of writing it."""


def _outside(external_id: bytes | None, external_url: bytes | None) -> bytes:
    """Fields 5 and 6."""
    told = b"" if external_id is None else b',"externalId":' + external_id
    return told if external_url is None else told + b',"externalUrl":' + external_url


def _achieved(session: Session) -> bytes:
    """Fields 8 and 9."""
    achieved = sorted(session.outcomes.items(), key=lambda one: (one[1][0], one[0]))
    uri = "/api/v2/journey/outcomes/"
    pairs = [(referred(outcome, given, uri), at) for _, (at, outcome, given) in achieved]
    run = _dated(b"outcomeAchievements", b"outcome", b"achievedDate", pairs)
    assigned = sorted((one[3], segment, one[4]) for segment, one in session.segments.items() if one[2])
    pairs = [(referred(segment, given, "/api/v2/journey/segments/"), at) for at, segment, given in assigned]
    return run + _dated(b"segmentAssignments", b"segment", b"assignedDate", pairs)


def _dated(name: bytes, what: bytes, when: bytes, pairs: list[tuple[bytes, int]]) -> bytes:
    items = [b'{"%b":%b,"%b":%b}' % (what, reference, when, format_time_json(at)) for reference, at in pairs]
    return b',"%b":[%b]' % (name, b",".join(items)) if items else b""


def _attributes(kept: dict[str, KeptAttribute]) -> bytes:
    """Field 10: by name."""
    attributes = {}
    for name, (_, data_type, value) in kept.items():
        attributes[name] = Attribute(data_type, value)
    return b',"attributes":' + _encode_sorted(attributes)


def _lists(session: Session) -> bytes:
    """Field 11."""
    lists = {}
    for name, values in sorted(session.lists.items()):
        in_order = sorted(values, key=lambda value: (values[value], value))
        lists[name] = AttributeList(values[in_order[0]][2], in_order)
    return b',"attributeLists":' + _encode(lists)


def _terms(session: Session) -> bytes:
    """Field 20."""
    return b',"searchTerms":' + _encode(sorted(session.terms, key=session.terms.__getitem__))


def _talked(session: Session, rules: Rules) -> tuple[bytes, bytes, bytes | None, bytes]:
    """Of a session with conversations: the value of field 4, fields 27 to 34, the value of 39, field 42."""
    talk = _talk_of(session, rules)
    latest = max(session.talks, key=lambda one: (session.talks[one].latest, one))
    conversation = session.id if session.id in session.talks else latest
    belongs = b',"conversation":' + referred(conversation, None, "/api/v2/conversations/")
    return json_of(type_of(session)), _conversation(talk), _contact(session, talk), belongs


def _talk_of(session: Session, rules: Rules) -> Talk:
    """The events of all its conversations taken together; a wrap-up's user is found in its own conversation."""
    if len(session.talks) == 1:
        return next(iter(session.talks.values()))
    joined: Talk | None = None
    for talk in session.talks.values():
        shown = shown_disposition(talk)
        alone = msgspec.structs.replace(talk, disposition=shown, unassigned=None)
        joined = join_talk(joined, alone, channels_max=rules.channels_max)
    assert joined is not None
    return joined


def _conversation(talk: Talk) -> bytes:
    """Fields 27 to 34, each with a comma before it."""
    parts: list[bytes] = []
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
    return b"".join(parts)


def _put(parts: list[bytes], name: bytes, text: bytes) -> None:
    parts += (b',"', name, b'":', text)


def _contact(session: Session, talk: Talk) -> bytes | None:
    """Field 39: the latest of any event, those of its conversations included."""
    own = session.values[slots.EXTERNAL_CONTACT]
    if talk.contact is None:
        return own
    at, event_id, contact = talk.contact
    if own is not None and session.stamps[session.set_by[slots.EXTERNAL_CONTACT]] >= (at, event_id):
        return own
    return referred(contact, None, "/api/v2/externalcontacts/contacts/")


def _away_and_idle(last: int, rules: Rules) -> bytes:
    """Fields 40 and 41."""
    away, idle = last + rules.away_after, last + rules.idle_after
    if away > GREATEST or idle > GREATEST:
        away, idle = min(away, GREATEST), min(idle, GREATEST)
    # fmt: off
    return b"".join((
        b',"awayDate":"', MINUTES[away // 60_000], SECONDS[away // 1000 % 60], MILLIS[away % 1000],
        b'","idleDate":"', MINUTES[idle // 60_000], SECONDS[idle // 1000 % 60], MILLIS[idle % 1000], b'"',
    ))
    # fmt: on
