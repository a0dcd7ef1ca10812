"""What conversation events say of their conversation, rows 27 to 34 and 42, in any order (contract §3.4, §5)."""

from __future__ import annotations

from itertools import permutations

import pytest

from projector.conversation import LINKS_MAX, Talk, join_talk, spelled
from projector.rules import Rules
from tests.given import Json, folded, snapshot, talk, text_of, web


def in_every_order(*events: Json, rules: Rules | None = None) -> Json:
    """The one snapshot of conversation `s-1` that these events make, whatever their order, each told twice."""
    found = [snapshot(folded((*order, *order), rules), rules) for order in permutations(events)]
    assert all(one == found[0] for one in found)
    return found[0]


def said(what: str, ms: int = 0, **body: object) -> Json:
    """Of the conversation whose session the tests look at."""
    return talk(what, ms, conversation="s-1", **body)


def test_a_conversation_is_a_session_of_its_own() -> None:
    session = in_every_order(said("customer.start"), said("acd.start", 1500))

    assert (session["id"], session["type"], session["eventCount"]) == ("s-1", "conversation", 2)
    assert session["lastEvent"]["eventName"] == "acd.start"
    assert (session["createdDate"], session["durationInSeconds"]) == (text_of(0), 1)
    assert session["conversation"] == {"id": "s-1", "selfUri": "/api/v2/conversations/s-1"}


def test_it_stays_a_conversation_whatever_else_names_it() -> None:
    named = web("w", -1, about={"session": {"id": "s-1", "type": "web"}})

    assert in_every_order(named, said("customer.start"))["type"] == "conversation"


# The end.


@pytest.mark.parametrize(
    ("starts", "ends", "end"),
    [
        ([0], [], None),
        ([0], [5], 5),
        ([0], [5, 9], 9),
        ([0, 7], [5], None),
        ([5], [5], 5),
        ([6], [5], None),
        ([0, 7], [5, 9], 9),
        ([], [3], 3),
    ],
)
def test_it_ends_at_its_latest_customer_end_unless_a_customer_start_is_later(
    starts: list[int], ends: list[int], end: int | None
) -> None:
    events = [*(said("customer.start", ms) for ms in starts), *(said("customer.end", ms) for ms in ends)]

    assert in_every_order(*events).get("endedDate") == (None if end is None else text_of(end))


def test_its_other_events_do_not_revive_it() -> None:
    session = in_every_order(said("customer.end", 5), said("wrapup", 9, wrapupCode="x"), said("user.end", 7))

    assert session["endedDate"] == text_of(5)


# Queue, user, outcome, disconnect.


def test_the_queue_is_that_of_the_latest_connection() -> None:
    session = in_every_order(
        said("acd.end", 1, queueId="answered", acdOutcome="ANSWERED"),
        said("acd.end", 2, queueId="abandoned", acdOutcome="ABANDON"),
        said("acd.start", 3, queueId="entered"),
        said("user.end", 4, queueId="never talked", interactingDurationMs=0),
    )

    assert session["lastConnectedQueue"] == {"id": "answered", "selfUri": "/api/v2/routing/queues/answered"}


@pytest.mark.parametrize(
    ("event", "user"),
    [
        (said("user.start", 1, userId="u"), "u"),
        (said("user.end", 1, userId="u", interactingDurationMs=1), "u"),
        (said("user.end", 1, userId="u", interactingDurationMs=0), None),
        (said("user.end", 1, userId="u"), None),
        (said("acd.end", 1, answeredUserId="u"), "u"),
        (said("acd.end", 1, answeredUserId="u", acdOutcome="ABANDON"), "u"),
        (said("acd.end", 1, userId="u"), None),
        (said("user.start", 1, answeredUserId="u"), None),
        (said("user.start", 1, userId=""), None),
        (said("acw", 1, userId="u", wrapupCode="x"), None),
    ],
)
def test_a_user_is_connected_by_what_proves_it(event: Json, user: str | None) -> None:
    session = in_every_order(said("customer.start"), event)

    assert session.get("lastConnectedUser", {}).get("id") == user


def test_the_user_is_that_of_the_latest_connection_that_names_one() -> None:
    session = in_every_order(
        said("user.start", 1, userId="a"), said("user.start", 2, userId="b"), said("user.start", 3)
    )

    assert session["lastConnectedUser"] == {"id": "b", "selfUri": "/api/v2/users/b"}


def test_the_acd_outcome_is_the_latest() -> None:
    session = in_every_order(
        said("acd.end", 1, acdOutcome="FLOW_OUT"), said("acd.end", 2), said("user.end", 3, acdOutcome="ABANDON")
    )

    assert session["lastAcdOutcome"] == "FlowOut"


def test_the_disconnect_is_that_of_the_latest_who_talked() -> None:
    session = in_every_order(
        said("user.end", 1, disconnectType="CLIENT", interactingDurationMs=5),
        said("user.end", 2, disconnectType="PEER", interactingDurationMs=0),
        said("customer.end", 3, disconnectType="SYSTEM"),
    )

    assert session["lastUserDisconnectType"] == "Client"


def test_where_nobody_talked_the_disconnect_is_the_latest() -> None:
    session = in_every_order(
        said("user.end", 1, disconnectType="CLIENT"), said("user.end", 2, disconnectType="INACTIVITY")
    )

    assert session["lastUserDisconnectType"] == "Other"


# Dispositions.


def disposition(*events: Json) -> tuple[str, str | None] | None:
    """(code, user)."""
    shown = in_every_order(*events).get("lastUserDisposition")
    return None if shown is None else (shown["code"], shown["user"]["id"])


def test_an_acw_names_its_user() -> None:
    session = in_every_order(said("acw", 1, wrapupCode="done", wrapupNotes="n", userId="u"))

    assert session["lastUserDisposition"] == {
        "code": "done",
        "notes": "n",
        "user": {"id": "u", "selfUri": "/api/v2/users/u"},
    }


def test_a_wrapups_user_is_that_of_the_latest_connection_not_later_than_it() -> None:
    a, b, late = (said("user.start", ms, userId=user) for ms, user in ((1, "a"), (5, "b"), (6, "late")))

    assert disposition(a, b, late, said("wrapup", 5, wrapupCode="x")) == ("x", "b")
    assert disposition(a, b, late, said("wrapup", 4, wrapupCode="x")) == ("x", "a")


def test_a_wrapup_waits_for_a_connection_and_the_one_before_it_shows() -> None:
    wrapup = said("wrapup", 5, wrapupCode="new")

    assert disposition(wrapup) is None
    assert disposition(wrapup, said("acw", 1, wrapupCode="old", userId="u")) == ("old", "u")
    assert disposition(wrapup, said("user.start", 6, userId="later"), said("acw", 1, wrapupCode="old", userId="u")) == (
        "old",
        "u",
    )
    assert disposition(wrapup, said("user.start", 5, userId="in time")) == ("new", "in time")


def test_an_acw_without_user_is_like_a_wrapup() -> None:
    assert disposition(said("acw", 5, wrapupCode="x"), said("user.start", 1, userId="u")) == ("x", "u")


def test_the_latest_disposition_counts_and_of_one_ms_the_acw() -> None:
    user = said("user.start", 0, userId="by connection")
    acw = said("acw", 5, wrapupCode="acw", userId="own")

    assert disposition(user, acw, said("wrapup", 5, wrapupCode="wrapup", participantId="p")) == ("acw", "own")
    assert disposition(user, acw, said("wrapup", 6, wrapupCode="wrapup")) == ("wrapup", "by connection")


def test_a_wrapup_without_a_code_says_nothing() -> None:
    assert disposition(said("acw", 5, userId="u"), said("wrapup", 6, wrapupNotes="n")) is None


# What any of its events may carry.


def test_channels_are_distinct_by_first_use() -> None:
    message = {"mediaType": "MESSAGE", "messageType": "WEBMESSAGING", "provider": "PureCloud Messaging"}

    session = in_every_order(
        said("acd.start", 2, mediaType="VOICE"), said("acd.end", 1, **message), said("user.start", 3, **message)
    )

    assert session["conversationChannels"] == [
        {"type": "Message", "messageType": "WebMessaging", "platform": "PureCloud Messaging"},
        {"type": "Voice"},
    ]


def test_the_earliest_channels_stay() -> None:
    session = in_every_order(
        *(said("acd.start", ms, mediaType="VOICE", provider=str(ms)) for ms in range(4)), rules=Rules(channels_max=2)
    )

    assert [channel["platform"] for channel in session["conversationChannels"]] == ["0", "1"]


def test_the_direction_is_the_first_and_the_subject_the_latest_that_is_not_empty() -> None:
    session = in_every_order(
        said("customer.start", 0, direction="INBOUND", subject="old"),
        said("acd.start", 1, direction="OUTBOUND", subject="new"),
        said("acd.end", 2, subject=""),
    )

    assert (session["originatingDirection"], session["conversationSubject"]) == ("Inbound", "new")


def test_the_contact_is_the_latest() -> None:
    session = in_every_order(
        said("customer.start", 0, externalContactId="a"), said("contact", 1, externalContactId="b")
    )

    assert session["externalContact"] == {"id": "b", "selfUri": "/api/v2/externalcontacts/contacts/b"}


@pytest.mark.parametrize(
    ("came", "published"),
    [
        ("DND_ENDPOINT", "DoNotDisturbEndpoint"),
        ("NO_ANSWER_TRANSFER", "NoAnswerTransfer"),
        ("SESSION_EXPIRED", "SessionExpired"),
        ("UNKNOWN", "Unknown"),
        ("WHATSAPP", "WhatsApp"),
        ("INTERNALMESSAGE", "InternalMessage"),
        ("SCREENMONITORING", "SCREENMONITORING"),
        ("Voice", "Voice"),
        ("", ""),
    ],
)
def test_words_are_spelled_as_on_the_session_and_unknown_ones_stay(came: str, published: str) -> None:
    assert spelled(came) == published


# Links and joins.


def test_a_journey_context_names_the_customers_session_before_its_own() -> None:
    both: Json = {"journeyContext": {"customerSession": {"id": "named"}, "sessionId": "other"}}
    own: Json = {"journeyContext": {"customerSession": {"id": ""}, "sessionId": "own"}}

    session = folded([said("customer.start", **both), said("acd.end", **own), said("acd.start", journeyContext={})])

    assert session.talks["s-1"].links == ["named", "own"]


def test_a_conversation_is_not_linked_to_itself() -> None:
    session = folded([said("customer.start", journeyContext={"sessionId": "s-1"})])

    assert session.talks["s-1"].links == []


def test_the_links_of_a_conversation_are_bounded() -> None:
    session = folded(
        said("acd.end", ms, journeyContext={"sessionId": f"{ms:04}"}) for ms in reversed(range(LINKS_MAX + 5))
    )

    assert session.talks["s-1"].links == [f"{ms:04}" for ms in range(LINKS_MAX)]


def test_joining_is_order_free_and_joining_twice_changes_nothing() -> None:
    events = [
        said("customer.start", 0, direction="INBOUND", mediaType="VOICE", subject="x"),
        said("acd.end", 1, queueId="q", acdOutcome="ANSWERED", answeredUserId="u", provider="p", mediaType="CHAT"),
        said("user.end", 2, disconnectType="PEER", interactingDurationMs=9, externalContactId="c"),
        said("wrapup", 3, wrapupCode="w"),
        said("customer.end", 4, journeyContext={"sessionId": "j"}),
    ]
    whole = folded(events).talks["s-1"]
    parts = [folded([event]).talks["s-1"] for event in events]

    for order in permutations(parts):
        joined: Talk | None = None
        for part in (*order, whole):
            joined = join_talk(joined, part, channels_max=100)
        assert joined == whole
