"""Contract in: the journey events as JSON carries them, one Struct each.

Members are those of the tables of the journey domain, in their order: what is kept of them is published in that order.
Every member is optional here because null is absent everywhere (contract §2); `decode` says which are required.
Unknown members are ignored. Renaming a member is a change of the input contract.
"""

from typing import TYPE_CHECKING, Any

from msgspec import Raw, Struct

from projector.models import (
    App,
    Attribute,
    AttributeValue,
    Browser,
    Campaign,
    Device,
    Geolocation,
    Integer,
    Model,
    NetworkConnectivity,
    Page,
    Reference,
    Referrer,
    SdkLibrary,
)

if TYPE_CHECKING:
    Json = bytes | None
    """JSON text as it is published, None where it carries nothing."""
    Shown = Page | None
    Named = dict[str, Attribute] | None
else:
    # As the decoder leaves it; `payloads` makes it plain, once for each text that comes again and again.
    Json = Shown = Named = Raw

# Visitor events.


class WebEvent(Model):
    """What a visitor did on a website; raw ones carry `referrerUrl` and leave the rest to enrichment."""

    event_name: str | None = None
    total_event_count: Integer | None = None
    total_pageview_count: Integer | None = None
    page: Shown = None
    user_agent_string: str | None = None
    browser: Json = None
    device: Json = None
    geolocation: Json = None
    ip_address: str | None = None
    ip_organization: str | None = None
    mkt_campaign: Campaign | None = None
    referrer: Referrer | None = None
    referrer_url: str | None = None
    attributes: Named = None
    traits: dict[str, AttributeValue] | None = None
    search_query: str | None = None
    authenticated: bool | None = None


class AppEvent(Model):
    """What a visitor did in a mobile app."""

    event_name: str | None = None
    screen_name: str | None = None
    app: App | None = None
    device: Json = None
    ip_address: str | None = None
    ip_organization: str | None = None
    geolocation: Json = None
    sdk_library: SdkLibrary | None = None
    network_connectivity: NetworkConnectivity | None = None
    mkt_campaign: Campaign | None = None
    referrer: Referrer | None = None
    referrer_url: str | None = None
    search_query: str | None = None
    attributes: Named = None
    traits: dict[str, AttributeValue] | None = None
    # Not on the public model; taken when a collector gives them (contract §5: row 12, 21, 35 name no event type).
    page: Shown = None
    user_agent_string: str | None = None
    browser: Json = None
    authenticated: bool | None = None


class CustomEvent(Model):
    """A step in another system: a ticket, a delivery, a cash machine."""

    event_name: str | None = None
    attributes: dict[str, AttributeValue] | None = None
    traits: dict[str, AttributeValue] | None = None
    external_id: str | None = None
    external_url: str | None = None
    authenticated: bool | None = None


class JourneyCustomer(Model):
    id: str | None = None
    id_type: str | None = None


class CustomerSession(Model):
    id: str | None = None
    type: str | None = None


class ActionMap(Model):
    id: str | None = None
    self_uri: str | None = None
    version: Integer | str | None = None
    display_name: str | None = None


class TriggeringAction(Model):
    id: str | None = None
    action_map: ActionMap | None = None


class JourneyContext(Model):
    customer: JourneyCustomer | None = None
    customer_session: CustomerSession | None = None
    triggering_action: TriggeringAction | None = None
    session_id: str | None = None
    session_id_type: str | None = None
    action_id: str | None = None
    action_map_id: str | None = None


class ConversationEvent(Model):
    """The body of a `v2.detail.events.conversation.{id}.{what}` notification: the members of every `what` in one."""

    event_time: Integer | float | None = None
    conversation_id: str | None = None
    participant_id: str | None = None
    session_id: str | None = None
    media_type: str | None = None
    provider: str | None = None
    direction: str | None = None
    subject: str | None = None
    message_type: str | None = None
    conversation_external_contact_ids: list[str | None] | None = None
    external_contact_id: str | None = None
    journey_context: JourneyContext | None = None
    disconnect_type: str | None = None
    interacting_duration_ms: Integer | None = None
    queue_id: str | None = None
    acd_outcome: str | None = None
    answered_user_id: str | None = None
    user_id: str | None = None
    wrapup_code: str | None = None
    wrapup_notes: str | None = None


# Activity without an event, the end, and annotations.


class Heartbeat(Model):
    """The visitor is still there: moves the dates, counts nothing."""


class SessionEnded(Model):
    """The session ends at the event's time."""


class Outcome(Model):
    id: str | None = None
    self_uri: str | None = None
    display_name: str | None = None
    version: Integer | str | None = None


class AssociatedValue(Model):
    data_type: str | None = None
    value: float | None = None


class OutcomeAchievedEvent(Model):
    outcome: Outcome | None = None
    user_agent_string: str | None = None
    browser: Browser | None = None
    device: Device | None = None
    geolocation: Geolocation | None = None
    ip_address: str | None = None
    ip_organization: str | None = None
    mkt_campaign: Campaign | None = None
    visit_referrer: Referrer | None = None
    visit_created_date: str | None = None
    associated_value: AssociatedValue | None = None


class SegmentAssignmentEvent(Model):
    segment: Reference | None = None
    assignment_state: str | None = None
    date_assigned: str | None = None
    date_for_unassignment: str | None = None


class EventAction(Model):
    id: str | None = None
    state: str | None = None
    media_type: str | None = None
    prompt: str | None = None
    created_date: str | None = None


class WebActionEvent(Model):
    action: EventAction | None = None
    action_map: ActionMap | None = None
    action_target: Reference | None = None
    time_to_disposition: Integer | None = None
    error_code: str | None = None
    error_message: str | None = None
    user_agent_string: str | None = None
    browser: Browser | None = None
    device: Device | None = None
    geolocation: Geolocation | None = None
    ip_address: str | None = None
    ip_organization: str | None = None
    mkt_campaign: Campaign | None = None
    visit_referrer: Referrer | None = None


class BlockedWebActionOfferEvent(Model):
    action: EventAction | None = None
    action_map: ActionMap | None = None
    action_target: Reference | None = None
    blocking_reason: str | None = None


class OutcomeAttributionEvent(Model):
    outcome: Outcome | None = None
    associated_value: AssociatedValue | None = None


Payload = (
    WebEvent
    | AppEvent
    | CustomEvent
    | ConversationEvent
    | Heartbeat
    | SessionEnded
    | OutcomeAchievedEvent
    | SegmentAssignmentEvent
    | WebActionEvent
    | BlockedWebActionOfferEvent
    | OutcomeAttributionEvent
)


class EventSession(Model):
    id: str | None = None
    self_uri: str | None = None
    type: str | None = None


class JourneyEvent(Model):
    """The envelope of a journey event: who, when, in which session, and one payload by the name of its type."""

    id: str | None = None
    event_type: str | None = None
    created_date: str | None = None
    session: EventSession | None = None
    customer_id: str | None = None
    customer_id_type: str | None = None
    correlation_id: str | None = None
    external_contact: Reference | None = None
    web_event: WebEvent | None = None
    app_event: AppEvent | None = None
    custom_event: CustomEvent | None = None
    outcome_achieved_event: OutcomeAchievedEvent | None = None
    segment_assignment_event: SegmentAssignmentEvent | None = None
    web_action_event: WebActionEvent | None = None
    blocked_web_action_offer_event: BlockedWebActionOfferEvent | None = None
    outcome_attribution_event_message: OutcomeAttributionEvent | None = None
    outcome_attribution_event: OutcomeAttributionEvent | None = None


class Notification(Model):
    """The envelope of a notification: a topic that says what the body is about."""

    topic_name: str | None = None
    event_body: Raw = Raw()


class Envelope(JourneyEvent):
    """What a record may hold: a journey event, or a notification; told apart by their members."""

    topic_name: str | None = None
    event_body: Raw = Raw()


class Derived(Struct, gc=False):
    """What an event's user agent and address tell of what it does not give itself (contract §7).

    Objects as JSON texts: made once for all events that tell the same.
    """

    browser: bytes | None = None
    device: bytes | None = None
    geolocation: bytes | None = None
    ip_organization: str | None = None


class Event(Struct, gc=False):
    """What the fold reads: one event with its time worked out and its absent members gone.

    `at` is ms since the epoch, UTC. `id` is empty for a heartbeat that has none. `name` is the `eventName` of visitor
    events, the topic's tail for a conversation event, else empty.
    """

    id: str
    at: int
    name: str
    session_id: str | None
    session_type: str | None
    customer_id: str | None
    customer_id_type: str | None
    external_contact: Reference | None
    payload: Any  # A `Payload`; Any here spares a union check where Structs are built by hand.
    clamped: bool = False
    derived: Derived | None = None
    visit_type: str | None = None
    """`web` or `app` for a web or app event that names no session: its visit's type, whatever `session.type` says."""
