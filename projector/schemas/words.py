"""What the members mean, for people who read a schema (contract §2, §5; journey domain §1, §2)."""

ENVELOPE_WORDS = {
    "id": "Tells the event apart: of two with one id in a session, the first read counts.",
    "eventType": "Names the payload.",
    "createdDate": "When it happened.",
    "session": "The session it belongs to. Web and app events and heartbeats without `session.id` are put into visits"
    " by `customerId`; custom events without it are known by `session.type` and `externalId`; all others need it.",
    "customerId": "The customer's id in the system that the event comes from.",
    "customerIdType": "What kind of id that is: cookie, email, phone, …; any other too.",
    "correlationId": "What caused the event; not kept.",
    "externalContact": "The contact that the customer is known as.",
}

EVENT_WORDS = {
    "OutcomeAchievedEvent": "The visitor did what was hoped for: one achievement an event.",
    "SegmentAssignmentEvent": "The session was put into a segment or taken out of it.",
    "WebActionEvent": "What became of something that was offered to the visitor.",
    "BlockedWebActionOfferEvent": "Something was not offered, and why.",
    "OutcomeAttributionEvent": "What an outcome is put down to.",
}
"""Of the event types whose Struct does not say it."""

_VISITED = {
    "eventName": "What the visitor did, such as page_viewed.",
    "page": "The page it happened on; a raw event gives its `url` and the rest is taken from that.",
    "referrerUrl": "In place of `referrer`, for raw events.",
    "attributes": "By name; at most 200, each value of at most 8 KiB. A plain value stands for one with its data type.",
    "traits": "About the customer; read, not kept.",
    "searchQuery": "What was searched for on the site; blank is absent.",
    "authenticated": "Whether it happened in an authenticated session.",
}
PAYLOAD_WORDS: dict[str, dict[str, str]] = {
    "WebEvent": {
        **_VISITED,
        "totalEventCount": "The customer's, over all sessions; never copied.",
        "totalPageviewCount": "The customer's, over all sessions; never copied.",
    },
    "AppEvent": {**_VISITED, "eventName": "What the visitor did, such as screen_viewed."},
    "CustomEvent": {
        **{name: _VISITED[name] for name in ("attributes", "traits", "authenticated")},
        "eventName": "What happened, such as parcel_packed.",
        "externalId": "The session's id in the other system; with `session.type` it names the session.",
        "externalUrl": "Where the other system shows it.",
    },
    "OutcomeAchievedEvent": {
        "outcome": "The outcome that was achieved.",
        "associatedValue": "What it was worth; not kept.",
    },
    "SegmentAssignmentEvent": {
        "segment": "The segment that was assigned or taken away.",
        "assignmentState": "`Unassigned` takes it away, anything else or nothing assigns it.",
        "dateAssigned": "When it was assigned; without it, when the event happened.",
    },
    "ConversationEvent": {
        "eventTime": "When it happened, ms since the epoch, UTC.",
        "conversationId": "Not read: the conversation is the one that the topic names.",
        "sessionId": "Of the communication, not of a journey.",
        "journeyContext": "The journey session that it came from: `customerSession.id`, else `sessionId`.",
        "interactingDurationMs": "Above 0 in a `user.end`: the user was connected.",
        "answeredUserId": "In an `acd.end`: the user who was connected.",
    },
}

SESSION_WORDS = {
    "id": "Names the session; the key of the record.",
    "customerId": "Whose session it is: of the first event that says so.",
    "customerIdType": "What kind of id that is; from the same event.",
    "type": "web, app, conversation, or any name that events gave.",
    "externalId": "The session's id in another system: the latest that a custom event gave.",
    "externalUrl": "Where that system shows it: the latest that a custom event gave.",
    "shortId": "To be read out: unique among the sessions not ended.",
    "outcomeAchievements": "One for each achievement, by date.",
    "segmentAssignments": "The segments assigned now, by date.",
    "attributes": "By name the latest value, as text with its data type.",
    "attributeLists": "By name the distinct values in the order of their first use; for names that a rule marks.",
    "browser": "The latest.",
    "device": "The latest.",
    "geolocation": "The latest.",
    "ipAddress": "The latest.",
    "ipOrganization": "The latest.",
    "lastPage": "Of the latest web event that has one.",
    "mktCampaign": "Where the visit came from: the first.",
    "referrer": "The page that led here: the first.",
    "searchTerms": "Distinct, in the order of their first use.",
    "userAgentString": "The latest.",
    "durationInSeconds": "From the first activity to the last, whole seconds.",
    "eventCount": "How many distinct visitor events.",
    "pageviewCount": "How many of them were page views; always there on web sessions.",
    "screenviewCount": "How many of them were screen views; always there on app sessions.",
    "lastEvent": "The latest visitor event.",
    "lastConnectedQueue": "Of the conversation: the queue that connected last.",
    "lastConnectedUser": "Of the conversation: the user who was connected last.",
    "lastUserDisposition": "Of the conversation: the latest wrap-up, and whose it is.",
    "conversationChannels": "Of the conversation: distinct, in the order of their first use.",
    "originatingDirection": "Of the conversation: the first.",
    "conversationSubject": "Of the conversation: the latest.",
    "lastUserDisconnectType": "Why the last connected user left.",
    "lastAcdOutcome": "How the latest distribution ended.",
    "authenticated": "Whether any visitor event said so.",
    "selfUri": "Where the session API shows it.",
    "createdDate": "The first activity.",
    "endedDate": "When it ended; absent while it goes on, and again when it is revived.",
    "externalContact": "The contact that the customer is known as: the latest.",
    "awayDate": "From when on the visitor counts as away if nothing more is done; web and app sessions.",
    "idleDate": "From when on the visitor counts as idle if nothing more is done; web and app sessions.",
    "conversation": "The conversation it is, or that came from it: the one with the latest event.",
}
