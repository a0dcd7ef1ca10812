"""Journey events with the types of everything inside them, also of what `events` leaves as text.

`decode` asks for them where something is wrong, to say what and where; the published schemas are made of them.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from projector import events
from projector.models import AttributeValue, Browser, Device, Geolocation, Page

INSIDE: Mapping[str, Any] = {
    "browser": Browser,
    "device": Device,
    "geolocation": Geolocation,
    "page": Page,
    "attributes": dict[str, AttributeValue],
}
"""What the members are that web and app events keep as text."""


def _strict(kind: type[Struct], types: Mapping[str, Any]) -> Any:
    """The same Struct, member by member, but for these types; null is absent everywhere."""
    members = [
        (one.name, types[one.name] | None if one.name in types else one.type, one.default)
        for one in msgspec.structs.fields(kind)
    ]
    return msgspec.defstruct(kind.__name__, members, rename="camel", gc=False, namespace={"__doc__": kind.__doc__})


WebEvent, AppEvent = _strict(events.WebEvent, INSIDE), _strict(events.AppEvent, INSIDE)
PAYLOADS: Mapping[str, Any] = {"web_event": WebEvent, "app_event": AppEvent}
JourneyEvent = _strict(events.JourneyEvent, PAYLOADS)
Envelope = _strict(events.Envelope, PAYLOADS)
