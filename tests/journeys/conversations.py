"""Conversations as the contact centre tells them, one detail event after another (journey-domain §2.10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.journeys.draft import HOUR, MINUTE, SECOND, Draft, Json, Moment
from tests.journeys.world import QUEUES, USERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.draft import Story

VOICE: Json = {"mediaType": "VOICE", "provider": "Edge", "ani": "tel:+15550100", "dnis": "tel:+15550199"}
MESSENGER: Json = {"mediaType": "MESSAGE", "messageType": "WEBMESSAGING", "provider": "PureCloud Messaging"}
WHATSAPP: Json = {"mediaType": "MESSAGE", "messageType": "WHATSAPP", "provider": "PureCloud Messaging"}
CALLBACK: Json = {"mediaType": "CALLBACK", "provider": "PureCloud", "callbackNumbers": ["+15550100"]}
EMAIL: Json = {"mediaType": "EMAIL", "provider": "PureCloud Email", "addressFrom": "a@example.com"}


@dataclass(slots=True)
class Conversation:
    """A conversation as it goes on: `at_ms` is the time of its last event, from the start of the story."""

    story: Story
    id: str
    at_ms: int
    contact: str | None
    media: Json
    context: Json | None = None
    """The journeyContext that links it to a web or app session."""
    direction: str = "INBOUND"
    participants: int = 0

    def join(self) -> Json:
        """A new participant: it and its communication, which is no journey session."""
        self.participants += 1
        return {"participantId": f"{self.id}-p{self.participants}", "sessionId": f"{self.id}-m{self.participants}"}

    def tell(self, what: str, who: Json, after_ms: int, **members: object) -> None:
        """Tells `what` some time after the last, give or take a fifth."""
        self.at_ms += after_ms * 4 // 5 + self.story.dice.below(after_ms * 2 // 5 + 1)
        # "epoch": these events say their time in ms.
        body: Json = {"eventTime": Moment(spelling="epoch"), "conversationId": self.id, **who}
        body |= {**self.media, "direction": self.direction, **members}
        if self.contact is not None and what.startswith(("acd", "user")):
            body["conversationExternalContactIds"] = [self.contact]
        topic = f"v2.detail.events.conversation.{self.id}.{what}"
        self.story.tell(Draft(self.id, self.at_ms, body), topic=topic)

    def begin(self, **members: object) -> Json:
        customer = self.join()
        if self.context is not None:
            members["journeyContext"] = self.context
        if self.contact is not None:
            members["externalContactId"] = self.contact
        self.tell("customer.start", customer, 0, divisionId="division-1", **members)
        return customer

    def flow(self, *, exit_reason: str = "TRANSFER") -> None:
        bot = self.join()
        self.tell("flow.start", bot, SECOND, flowId="flow-welcome", flowType="INBOUNDCALL", flowVersion="12.0")
        self.tell(
            "flow.outcome", bot, 6 * SECOND, flowId="flow-welcome", flowOutcome="known", flowOutcomeValue="SUCCESS"
        )
        self.tell("flow.end", bot, 2 * SECOND, flowId="flow-welcome", exitReason=exit_reason, transferType="ACD")

    def queue(self, queue: str, outcome: str, *, user: str | None = None, wait_ms: int = 20 * SECOND) -> None:
        acd = self.join()
        self.tell("acd.start", acd, 500, queueId=queue, routingPriority=0, requestedRoutingSkillIds=["skill-outdoor"])
        members: Json = {"queueId": queue, "acdOutcome": outcome, "connectedDurationMs": wait_ms}
        members |= {"disconnectType": "TRANSFER" if outcome == "ANSWERED" else "PEER"}
        if user is not None:
            members |= {"answeredUserId": user, "usedRouting": "STANDARD", "requestedRoutings": ["STANDARD"]}
        self.tell("acd.end", acd, wait_ms, **members)

    def talk(self, user: str, queue: str, after_ms: int = 600) -> Json:
        who = self.join()
        self.tell("user.start", who, after_ms, userId=user, queueId=queue)
        return {**who, "userId": user, "queueId": queue}

    def leave(self, who: Json, disconnect: str, talked_ms: int, *, after_ms: int | None = None) -> None:
        """A user leaves; who never talked (0) only let it ring."""
        durations: Json = {"alertingDurationMs": 4_000, "heldDurationMs": talked_ms // 9}
        if talked_ms:
            durations["interactingDurationMs"] = talked_ms
        pause_ms = talked_ms if after_ms is None else after_ms
        self.tell("user.end", who, pause_ms, disconnectType=disconnect, **durations)

    def after_work(self, who: Json, code: str, notes: str) -> None:
        self.tell("acw", who, 25 * SECOND, wrapupCode=code, wrapupNotes=notes, wrapupDurationMs=25_000)

    def wrap_up(self, who: Json, code: str, notes: str | None = None) -> None:
        """A wrap-up does not name its user; the projector works it out (contract §5 row 29)."""
        nameless = {name: value for name, value in who.items() if name != "userId"}
        self.tell("wrapup", nameless, 15 * SECOND, wrapupCode=code, wrapupNotes=notes, wrapupDurationMs=15_000)

    def end(self, customer: Json, disconnect: str, after_ms: int = 2 * SECOND) -> None:
        self.tell("customer.end", customer, after_ms, disconnectType=disconnect, interactingDurationMs=60_000)


def chat(c: Conversation) -> None:
    """A chat on the web site: welcomed, answered, solved."""
    user = c.story.dice.pick(USERS)
    customer = c.begin()
    c.flow()
    c.queue(QUEUES[0], "ANSWERED", user=user)
    who = c.talk(user, QUEUES[0])
    values = {"orderNumber": "A-100200", "language": "en"}
    c.tell(
        "attributes",
        who,
        9 * SECOND,
        attributes=values,
        communications=[{"id": who["sessionId"], "mediaType": "MESSAGE"}],
    )
    c.leave(who, "PEER", 4 * MINUTE)
    c.end(customer, "CLIENT", 500)
    c.after_work(who, "solved", "Size chart sent")


def silent_chat(c: Conversation) -> None:
    """A chat by WhatsApp that falls asleep, comes back and stays open."""
    user = c.story.dice.pick(USERS)
    customer = c.begin()
    c.queue(QUEUES[1], "ANSWERED", user=user)
    who = c.talk(user, QUEUES[1])
    c.leave(who, "INACTIVITY", 10 * MINUTE)
    c.end(customer, "TIMEOUT")
    c.wrap_up(who, "no-answer")
    c.at_ms += 7 * MINUTE
    c.begin()
    c.queue(QUEUES[1], "ANSWERED", user=user)
    c.talk(user, QUEUES[1])


def transfer(c: Conversation) -> None:
    """A call that is handed on after a consultation; the second user lets it ring once before."""
    customer = c.begin()
    c.flow()
    c.queue(QUEUES[0], "ANSWERED", user=USERS[0])
    first = c.talk(USERS[0], QUEUES[0])
    ringing = c.join() | {"userId": USERS[2], "queueId": QUEUES[2]}
    c.leave(ringing, "NO_ANSWER_TRANSFER", 0, after_ms=MINUTE)
    c.leave(first, "CONSULT_TRANSFER", 2 * MINUTE, after_ms=MINUTE)
    c.queue(QUEUES[1], "ANSWERED", user=USERS[1])
    second = c.talk(USERS[1], QUEUES[1])
    c.after_work(first, "transferred", "To service")
    c.end(customer, "PEER", 3 * MINUTE)
    c.leave(second, "ENDPOINT", 3 * MINUTE, after_ms=300)
    c.wrap_up(second, "solved", "Label sent")


def conference(c: Conversation) -> None:
    """A call with two users at once, of whom the first leaves."""
    customer = c.begin()
    c.queue(QUEUES[2], "ANSWERED", user=USERS[1])
    first = c.talk(USERS[1], QUEUES[2])
    second = c.talk(USERS[3], QUEUES[1], after_ms=2 * MINUTE)
    c.leave(first, "CONFERENCE_TRANSFER", 4 * MINUTE, after_ms=MINUTE)
    c.end(customer, "ENDPOINT", 2 * MINUTE)
    c.leave(second, "CLIENT", 3 * MINUTE, after_ms=200)
    c.after_work(second, "refund", "Agreed on a refund")
    c.wrap_up(first, "handed-over")


def callback(c: Conversation) -> None:
    """A caller who would rather be called back, an hour later."""
    customer = c.begin()
    c.flow(exit_reason="CALLBACK")
    c.queue(QUEUES[1], "FLOW_OUT")
    c.end(customer, "SYSTEM")
    c.media, c.direction = (
        {**CALLBACK, "callbackUserName": "Kim Doe", "callbackScheduledTime": Moment(HOUR, "epoch")},
        "OUTBOUND",
    )
    c.at_ms += 50 * MINUTE
    customer = c.begin()
    c.queue(QUEUES[1], "ANSWERED", user=USERS[2])
    who = c.talk(USERS[2], QUEUES[1])
    c.tell(
        "user.end", who, 3 * MINUTE, disconnectType="CLIENT", interactingDurationMs=150_000, callbackDurationMs=180_000
    )
    c.end(customer, "CLIENT", 100)
    c.wrap_up(who, "called-back", "All clear")


def abandoned(c: Conversation) -> None:
    """A caller who gives up waiting and leaves a message."""
    customer = c.begin()
    c.queue(QUEUES[0], "ABANDON", wait_ms=3 * MINUTE)
    voicemail = c.join()
    c.tell("voicemail.start", voicemail, 2 * SECOND, queueId=QUEUES[0])
    c.tell("voicemail.end", voicemail, 30 * SECOND, queueId=QUEUES[0], voicemailDurationMs=30_000)
    c.end(customer, "PEER")


def campaign_call(c: Conversation) -> None:
    """A call of ours, by a dialler."""
    c.direction = "OUTBOUND"
    dialler = c.join()
    c.tell(
        "outbound",
        dialler,
        0,
        outboundCampaignId="campaign-june",
        outboundContactId="dial-17",
        outboundContactListId="list-1",
    )
    customer = c.begin()
    who = c.talk(USERS[3], QUEUES[0], after_ms=8 * SECOND)
    reached = c.story.dice.chance(0.6)
    c.leave(who, "PEER" if reached else "UNCALLABLE", 90 * SECOND if reached else 0, after_ms=90 * SECOND)
    c.end(customer, "ENDPOINT")
    c.after_work(who, "reached" if reached else "not-reached", "")


def mail(c: Conversation) -> None:
    """A mail that is answered hours later, by someone who finds out whose it is."""
    customer = c.begin(subject="Return of order A-100200", addressTo="help@example.com")
    c.queue(QUEUES[2], "ANSWERED", user=USERS[0], wait_ms=2 * HOUR)
    who = c.talk(USERS[0], QUEUES[2])
    c.tell("contact", customer, MINUTE, externalContactId=c.contact or f"contact-of-{c.id}", divisionId="division-1")
    c.leave(who, "CLIENT", 12 * MINUTE)
    c.end(customer, "SYSTEM", 400)
    nameless = {name: value for name, value in who.items() if name != "userId"}
    c.after_work(nameless, "return", "Return label sent")


CALLS: tuple[tuple[Json, Callable[[Conversation], None]], ...] = (
    (VOICE, transfer),
    (EMAIL, mail),
    (VOICE, callback),
    (VOICE, abandoned),
    (VOICE, conference),
    (VOICE, campaign_call),
    (WHATSAPP, silent_chat),
)
