"""People-like journeys: who comes when and does what, as a log in order of arrival or as a live feed."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from tests.journeys import apps, conversations, custom, visits
from tests.journeys.annotations import (
    achieve_outcome,
    assign_segment,
    attribute_outcome,
    block_offer,
    end_session,
    offer_chat,
    unassign_segment,
)
from tests.journeys.dice import Dice
from tests.journeys.draft import DAY, HOUR, MINUTE, SECOND, Json, Sending, Story, milliseconds
from tests.journeys.flaws import tell_flaws
from tests.journeys.world import CAMPAIGN_ORIGINS, MACHINES, ORIGINS, PLACES, SEGMENTS, Machine, Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_MS = milliseconds("2025-06-02T08:00:00Z")
_ROLES = ("shopper", "shopper", "app", "shopper", "caller", "parcel", "shopper", "shopper", "app", "caller")
_PENDING_MAX = 50_000  # Records that wait for their time in a live feed: some 150 MB.


def demo_events(
    sessions: int, seed: int, *, start_ms: int = START_MS, raw: bool = False, flaws: bool = True
) -> Iterator[tuple[str, bytes]]:
    """Key and value of the records of so many sessions, by arrival.

    The key is the session id; of raw web and app events and what belongs to them it is the customer id.
    """
    pending: list[tuple[int, int, Sending]] = []
    order = itertools.count()
    for story in _stories(sessions, seed, start_ms=start_ms, raw=raw, flaws=flaws):
        while pending and pending[0][0] < story.start_ms:
            arrival_ms, _, sending = heapq.heappop(pending)
            yield sending.record(arrival_ms)
        for sending in story.sendings:
            heapq.heappush(pending, (story.start_ms + sending.offset_ms, next(order), sending))
    while pending:
        arrival_ms, _, sending = heapq.heappop(pending)
        yield sending.record(arrival_ms)


def live_events(
    seed: int, *, clock_ms: Callable[[], int], raw: bool = False, flaws: bool = True
) -> Iterator[tuple[str, bytes]]:
    """An endless feed: every record is of the moment it is asked for, by whoever is due then, else by a new visitor.

    What a visitor would do more than two hours after coming is not told. When very many wait, time runs ahead for them.
    """
    pending: list[tuple[int, int, Sending]] = []
    order = itertools.count()
    stories = _stories(None, seed, start_ms=0, raw=raw, flaws=flaws)
    while True:
        now_ms = clock_ms()
        due = bool(pending) and pending[0][0] <= now_ms
        if not due and len(pending) < _PENDING_MAX:
            for sending in next(stories).sendings:
                if sending.offset_ms < 2 * HOUR:
                    heapq.heappush(pending, (now_ms + sending.offset_ms, next(order), sending))
        yield heapq.heappop(pending)[2].record(now_ms)


def _stories(sessions: int | None, seed: int, *, start_ms: int, raw: bool, flaws: bool) -> Iterator[Story]:
    """Visitors by the time they first come, until there are so many sessions (None: without end)."""
    dice = Dice(seed)
    left = sessions
    for number in itertools.count():
        if left is not None and left <= 0:
            return
        story = Story(dice, start_ms)
        told = _tell(story, number, 10 if left is None else left, raw=raw)
        left = None if left is None else left - told
        if flaws and number == 0:
            tell_flaws(story)
        yield story
        start_ms += dice.skewed(5 * SECOND, 12 * MINUTE)


def _tell(story: Story, number: int, sessions_max: int, *, raw: bool) -> int:
    """Tells what a visitor does; returns how many sessions that makes."""
    dice = story.dice
    turn, place_in_turn = divmod(number, len(_ROLES))
    match _ROLES[place_in_turn]:
        case "shopper":
            return _shop(story, _visitor(dice, MACHINES), sessions_max, raw=raw, wants_chat=place_in_turn % 2 == 1)
        case "app":
            return _use_app(story, _visitor(dice, MACHINES[6:9]), sessions_max, raw=raw)
        case "caller":
            kind = conversations.CALLS[(turn * 2 + place_in_turn // 5) % len(conversations.CALLS)]
            return _call(story, *kind)
        case _:
            return _follow_courses(story, turn, sessions_max)


def _visitor(dice: Dice, machines: tuple[Machine, ...]) -> visits.Visitor:
    place = dice.pick(PLACES)
    address = (
        f"{place.network}:{dice.between(1, 9999):x}"
        if ":" in place.network
        else f"{place.network}{dice.between(1, 254)}"
    )
    name = f"visitor{dice.digits(5)}@example.com"
    contact = dice.uuid() if dice.chance(0.4) else None
    return visits.Visitor(dice.uuid(), dice.pick(machines), place, address, name, contact)


def _shop(story: Story, visitor: visits.Visitor, sessions_max: int, *, raw: bool, wants_chat: bool) -> int:
    """One to four visits; the next comes hours later, or at once from an advertisement. One may lead to a chat."""
    dice = story.dice
    at_ms, origin, told = 0, dice.pick(ORIGINS + CAMPAIGN_ORIGINS), 0
    wanted = min(dice.between(1, 4), sessions_max)
    for number in range(wanted):
        visit = visits.arrive(story, visitor, at_ms, origin, raw=raw)
        visits.browse(visit, dice.between(2, 11))
        told += 1
        if wants_chat and number == 0 and told < sessions_max:
            _chat(visit)
            told += 1
        _finish(visit)
        if told >= sessions_max:
            break
        at_ms, origin = _return(visit, origin)
    return told


def _finish(visit: visits.Visit) -> None:
    """What comes of a visit, and what is said about it."""
    dice = visit.story.dice
    segment = dice.pick(SEGMENTS)
    if dice.chance(0.4):
        assign_segment(visit, segment)
    if dice.chance(0.3):
        offer_chat(visit, accepted=False)
    if dice.chance(0.2):
        block_offer(visit)
    if dice.chance(0.35):
        visits.log_in(visit)
    if dice.chance(0.35):
        visits.order(visit)
        achieve_outcome(visit, "outcome-order-placed", value=dice.between(20, 900) if dice.chance(0.5) else None)
        attribute_outcome(visit, "outcome-order-placed")
    elif dice.chance(0.4):
        achieve_outcome(visit, "outcome-cart-filled")
    if dice.chance(0.2):
        unassign_segment(visit, segment)
    if dice.chance(0.3):
        end_session(visit)


def _return(visit: visits.Visit, before: Origin) -> tuple[int, Origin]:
    """When and from where the visitor comes again."""
    dice = visit.story.dice
    if dice.chance(0.2):
        # Within the timeout, so that only the new campaign splits the visit (contract §3.3).
        origin = dice.pick([origin for origin in CAMPAIGN_ORIGINS if origin is not before])
        return visit.at_ms + dice.between(2, 9) * MINUTE, origin
    if dice.chance(0.1):
        visits.look_back(visit)
        return visit.at_ms + 23 * MINUTE, dice.pick(ORIGINS)
    return visit.at_ms + dice.skewed(40 * MINUTE, DAY), dice.pick(ORIGINS + CAMPAIGN_ORIGINS)


def _chat(visit: visits.Visit) -> None:
    """The visitor takes up an offer to talk; the conversation knows of the visit, in one of the two forms."""
    dice, journey = visit.story.dice, visit.journey
    action_id = offer_chat(visit, accepted=True)
    context: Json = {"sessionId": journey.session_id, "sessionIdType": "web", "actionId": action_id}
    if dice.chance(0.4):
        customer = {"id": journey.customer_id, "idType": journey.customer_id_type}
        context = {"customer": customer, "customerSession": {"id": journey.session_id, "type": "web"}}
        context["triggeringAction"] = {"id": action_id}
    at_ms = visit.at_ms + dice.between(1, 9) * SECOND
    conversation = conversations.Conversation(
        visit.story, dice.uuid(), at_ms, visit.visitor.contact, conversations.MESSENGER, context
    )
    conversations.chat(conversation)
    visit.wait(SECOND, MINUTE)
    visit.record("widgets_web_chat_submitted")


def _use_app(story: Story, visitor: visits.Visitor, sessions_max: int, *, raw: bool) -> int:
    dice, at_ms = story.dice, 0
    wanted = min(dice.between(1, 3), sessions_max)
    for _ in range(wanted):
        at_ms = apps.use_app(story, visitor, at_ms, raw=raw) + dice.skewed(40 * MINUTE, DAY)
    return wanted


def _call(story: Story, media: Json, tell: Callable[[conversations.Conversation], None]) -> int:
    dice = story.dice
    contact = dice.uuid() if dice.chance(0.6) else None
    tell(conversations.Conversation(story, dice.uuid(), 0, contact, media))
    return 1


def _follow_courses(story: Story, turn: int, sessions_max: int) -> int:
    """Two courses at a time, of a customer known by mail or telephone."""
    dice = story.dice
    customer = (
        ("email", f"customer{dice.digits(5)}@example.com") if dice.chance(0.6) else ("phone", f"+1555{dice.digits(7)}")
    )
    wanted = min(2, sessions_max)
    for number in range(wanted):
        course = custom.COURSES[(turn * 2 + number) % len(custom.COURSES)]
        custom.follow_course(story, course, customer, dice.below(HOUR))
    return wanted
