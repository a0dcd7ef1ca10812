# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from projector.adapters.kafka import Cut, KafkaPublisher, KafkaSettings, KafkaSource, fitting
from projector.adapters.kafka.reading import Taken
from projector.decode import decode
from projector.errors import Doubt, Fenced, Unavailable
from projector.events import Event
from projector.evolve import evolve
from projector.ports import Change, Committed, Refused
from projector.rules import Rules
from projector.session import Session, new_session
from projector.snapshot import headers_of, told_of
from tests.adapters.kafka.polling import begun, published, read_to_end
from tests.services.topics import Topics

NewSource = Callable[..., KafkaSource]
NewPublisher = Callable[..., KafkaPublisher]
REJECT = "projector.reject."


def a_session(session_id: str, **payload: Any) -> Session:
    event = decode(
        msgspec.json.encode(
            {
                "id": "e1",
                "eventType": "CustomEvent",
                "createdDate": "2026-01-01T00:00:00Z",
                "session": {"id": session_id, "type": "ticket"},
                "customEvent": {"eventName": "opened", **payload},
            }
        )
    )
    assert isinstance(event, Event), event
    session = new_session(session_id)
    evolve(session, event, Rules(), Counter())
    return session


def a_change(session_id: str, revision: int = 2, **payload: Any) -> Change:
    return Change(session_id, revision, told_of(a_session(session_id, **payload), Rules()))


def a_refusal(value: bytes | None, *, key: bytes | None = b"k", raw_headers: bytes = b"\0") -> Refused:
    return Refused(Taken(1, 42, 1234, key, value, raw_headers), "not-json", "not JSON at byte 0: \ud800")


def membership(source: KafkaSource) -> Any:
    begun(source)
    return read_to_end(source)[-1].group


def test_snapshots_rejects_and_positions_are_published_together(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, new_publisher: NewPublisher
) -> None:
    source, publisher = new_source(), new_publisher()
    change = a_change("s1")

    publisher.publish([change], [a_refusal(b"{")], {0: Committed(7, "mark")}, membership(source))

    (snapshot,) = published(kafka, settings.output_topic)
    assert change.told is not None
    assert snapshot.key == b"s1"
    assert snapshot.value == change.told.text
    assert snapshot.headers == headers_of("s1", 2, change.told)
    assert len(published(kafka, settings.rejects_topic)) == 1
    assert source.committed([0, 1]) == {0: Committed(7, "mark")}


def test_nothing_of_a_publication_with_a_stale_generation_can_be_seen(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, new_publisher: NewPublisher
) -> None:
    source, publisher = new_source(), new_publisher()
    group = membership(source)
    stale = group._replace(generation_id=group.generation_id - 1)

    with pytest.raises(Fenced):
        publisher.publish([a_change("s1")], [a_refusal(b"{")], {0: Committed(7, "")}, stale)
    publisher.renew()

    assert published(kafka, settings.output_topic) == []
    assert published(kafka, settings.rejects_topic) == []
    assert len(kafka.read(settings.output_topic, isolation_level="read_uncommitted")) == 1
    assert source.committed([0]) == {}


def test_a_member_that_was_expelled_is_fenced(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, new_publisher: NewPublisher
) -> None:
    source, publisher = new_source(), new_publisher()
    group = membership(source)._replace(member_id="somebody-else")

    with pytest.raises(Fenced):
        publisher.publish([a_change("s1")], [], {0: Committed(7, "")}, group)
    publisher.renew()

    assert published(kafka, settings.output_topic) == []


@pytest.mark.parametrize("change", [{"generation_id": -1}, {"member_id": ""}, {"state": "<rebalancing>"}])
def test_metadata_that_would_not_be_checked_by_the_broker_is_a_doubt(
    change: dict[str, Any], new_source: NewSource, new_publisher: NewPublisher
) -> None:
    group = membership(new_source())

    with pytest.raises(Doubt, match="no settled member"):
        new_publisher().publish([], [], {0: Committed(7, "")}, group._replace(**change))


def test_a_second_publisher_of_the_same_id_fences_the_first(
    kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    first, second = new_publisher(), new_publisher()

    with pytest.raises(Fenced):
        first.publish([a_change("old")], [], {}, None)
    second.publish([a_change("new")], [], {}, None)

    assert [record.key for record in published(kafka, settings.output_topic)] == [b"new"]


def test_after_a_doubt_nothing_is_published_until_it_is_renewed(
    kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    first, second = new_publisher(), new_publisher()
    with pytest.raises(Fenced):
        first.publish([a_change("s1")], [], {}, None)

    with pytest.raises(Doubt, match="renew"):
        first.publish([a_change("s2")], [], {}, None)
    first.renew()
    first.publish([a_change("s3")], [], {}, None)

    assert [record.key for record in published(kafka, settings.output_topic)] == [b"s3"]
    with pytest.raises(Fenced):
        second.publish([a_change("s4")], [], {}, None)


def test_a_producer_that_was_not_used_yet_is_kept(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    first = publisher._producer

    publisher.renew()
    kept = publisher._producer
    publisher.publish([Change("s1", 1, None)], [], {}, None)
    publisher.renew()

    assert kept is first
    assert publisher._producer not in (None, first)


def test_positions_of_a_refused_publication_do_not_come_with_the_next(
    new_source: NewSource, new_publisher: NewPublisher
) -> None:
    source, publisher = new_source(), new_publisher()
    group = membership(source)
    with pytest.raises(Fenced):
        publisher.publish([], [], {0: Committed(5, "")}, group._replace(generation_id=group.generation_id + 1))
    publisher.renew()

    publisher.publish([], [], {1: Committed(7, "")}, group)

    assert source.committed([0, 1]) == {1: Committed(7, "")}


def test_positions_alone_are_published(new_source: NewSource, new_publisher: NewPublisher) -> None:
    source, publisher = new_source(), new_publisher()
    group = membership(source)

    publisher.publish([], [], {0: Committed(3, "a")}, group)
    publisher.publish([], [], {0: Committed(4, "b")}, group)

    assert source.committed([0]) == {0: Committed(4, "b")}


def test_nothing_at_all_asks_nobody(new_publisher: NewPublisher) -> None:
    publisher = new_publisher()
    publisher.close()

    publisher.publish([], [], {}, None)


def test_an_empty_metadata_text_is_an_empty_text(new_source: NewSource, new_publisher: NewPublisher) -> None:
    source = new_source()

    new_publisher().publish([], [], {0: Committed(3, "")}, membership(source))

    assert source.committed([0]) == {0: Committed(3, "")}


def test_a_tombstone_has_no_value_and_says_its_revision(
    kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    new_publisher().publish([Change("gone", 8, None), Change("lost", 9, None, merged_into="kept")], [], {}, None)

    records = {record.key: record for record in published(kafka, settings.output_topic)}
    gone, lost = dict(records[b"gone"].headers), dict(records[b"lost"].headers)
    assert records[b"gone"].value is None
    assert gone["projector.revision"] == b"8"
    assert "projector.merged-into" not in gone
    assert lost["projector.merged-into"] == b"kept"


def test_a_reject_keeps_the_record_as_it_came_and_says_why_and_where_from(
    kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    trace = b"\x04" + b"\x0atrace" + b"\x02x" + b"\x08null" + b"\x01"

    new_publisher().publish([], [a_refusal(b"{oops", raw_headers=trace)], {}, None)

    (reject,) = published(kafka, settings.rejects_topic)
    assert (reject.key, reject.value) == (b"k", b"{oops")
    assert reject.headers == [
        ("trace", b"x"),
        ("null", b""),
        (REJECT + "reason", b"not-json"),
        (REJECT + "detail", b"not JSON at byte 0: ?"),
        (REJECT + "topic", settings.input_topic.encode()),
        (REJECT + "partition", b"1"),
        (REJECT + "offset", b"42"),
        (REJECT + "timestamp", b"1234"),
    ]


def test_a_large_reject_is_cut_and_says_its_size(
    kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    whole, cut = b"x" * 65_536, b"y" * 65_537

    new_publisher().publish([], [a_refusal(whole), a_refusal(cut)], {}, None)

    first, second = published(kafka, settings.rejects_topic)
    assert first.value == whole
    assert REJECT + "truncated" not in dict(first.headers)
    assert second.value == cut[:65_536]
    assert dict(second.headers)[REJECT + "truncated"] == b"65537"


def test_a_hidden_reject_keeps_only_its_size_and_origin(
    kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    new_publisher(hide_rejects=True).publish([], [a_refusal(b"secret", raw_headers=b"\x02\x02a\x02b")], {}, None)

    (reject,) = published(kafka, settings.rejects_topic)
    assert (reject.key, reject.value) == (None, b"")
    headers = dict(reject.headers)
    assert headers[REJECT + "truncated"] == b"6"
    assert headers[REJECT + "offset"] == b"42"
    assert not {"a", REJECT + "detail"} & headers.keys()


def test_snapshots_lie_where_kafkas_default_partitioner_puts_their_keys(
    kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    keys = [f"session-{i}" for i in range(40)] + ["séance", ""]
    stock = kafka.create(f"{settings.output_topic}-stock", partitions=3)
    kafka.send(stock, [(key, b"v") for key in keys])

    new_publisher().publish([Change(key, 1, None) for key in keys], [], {}, None)

    ours = {record.key: record.partition for record in published(kafka, settings.output_topic)}
    assert ours == {record.key: record.partition for record in published(kafka, stock)}
    assert set(ours.values()) == {0, 1, 2}


def test_a_snapshot_larger_than_its_topic_takes_is_published_without_its_largest_members_until_it_takes_more(
    kafka: Topics,
    settings: KafkaSettings,
    unique_name: Callable[[str], str],
    new_publisher: NewPublisher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow = kafka.create(unique_name("narrow"), configs={"max.message.bytes": "2000"})
    monkeypatch.setattr(fitting, "ASKED_AGAIN_S", 0.0)
    publisher = new_publisher(
        msgspec.structs.replace(settings, output_topic=narrow, extra={"compression_type": "gzip"})
    )
    numbers = ",".join(str(i * 7919) for i in range(2000))
    large = a_change("s", attributes={"n": {"dataType": "STRING", "value": numbers}})

    with pytest.raises(Doubt, match="larger than its topic takes"):
        publisher.publish([large], [], {}, None)
    publisher.renew()
    publisher.publish([large], [], {}, None)
    kafka.configure(narrow, {"max.message.bytes": "100000"})
    publisher.publish([large], [], {}, None)  # And then asks.
    publisher.publish([large], [], {}, None)

    *cut, whole = published(kafka, narrow)
    assert [dict(record.headers)["projector.left-out"] for record in cut] == [b"attributes"] * 2
    assert json.loads(whole.value)["attributes"]["n"]["value"] == numbers
    assert "projector.left-out" not in dict(whole.headers)


def test_a_snapshot_of_which_not_even_the_least_fits_is_told_and_stops_nothing_else(
    kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    cuts: list[Cut] = []
    publisher = new_publisher(msgspec.structs.replace(settings, extra={"max_request_size": 9000}), told=cuts.append)
    long = "s" * 4000

    publisher.publish([a_change(long), a_change("s")], [], {}, None)

    (record,) = published(kafka, settings.output_topic)
    assert record.key == b"s"
    assert [(one.key, one.left_out) for one in cuts] == [(long, ())]


def test_a_reject_larger_than_its_topic_takes_loses_headers_then_key_then_value(
    kafka: Topics, settings: KafkaSettings, new_publisher: NewPublisher
) -> None:
    publisher = new_publisher(msgspec.structs.replace(settings, extra={"max_request_size": 9000}))
    large = b"x" * 10_000
    header = b"\x02\x02a" + bytes([0xA0, 0x9C, 0x01]) + large  # One, named a, of 10,000 bytes.

    rejects = [
        a_refusal(b"{", raw_headers=header),
        a_refusal(b"{", key=large, raw_headers=header),
        a_refusal(large * 2),
    ]
    publisher.publish([], rejects, {}, None)

    left_out = [dict(record.headers)[REJECT + "left-out"] for record in published(kafka, settings.rejects_topic)]
    assert left_out == [b"headers", b"headers,key", b"headers,key,value"]
    last = published(kafka, settings.rejects_topic)[-1]
    assert (last.key, last.value, dict(last.headers)[REJECT + "truncated"]) == (None, b"", b"20000")


def test_a_missing_topic_says_how_to_make_it(
    settings: KafkaSettings, unique_name: Callable[[str], str], new_publisher: NewPublisher
) -> None:
    nowhere = msgspec.structs.replace(settings, output_topic=unique_name("none"), extra={"max_block_ms": 500})

    with pytest.raises(Unavailable, match=r"none-.*projector doctor --create-topics"):
        new_publisher(nowhere)


def test_at_least_once_publishes_without_a_transaction_and_commits_with_the_source(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, new_publisher: NewPublisher
) -> None:
    source = new_source()
    publisher = new_publisher(msgspec.structs.replace(settings, delivery="at-least-once"), commit=source.commit)
    group = membership(source)

    publisher.publish([a_change("s1")], [a_refusal(b"{")], {1: Committed(9, "mark")}, group)

    assert len(published(kafka, settings.output_topic)) == 1
    assert len(published(kafka, settings.rejects_topic)) == 1
    assert source.committed([0, 1]) == {1: Committed(9, "mark")}
    (snapshot,) = published(kafka, settings.output_topic)
    assert snapshot.offset == 0


def test_at_least_once_does_not_commit_for_a_stale_generation(
    kafka: Topics, settings: KafkaSettings, new_source: NewSource, new_publisher: NewPublisher
) -> None:
    source = new_source()
    publisher = new_publisher(msgspec.structs.replace(settings, delivery="at-least-once"), commit=source.commit)
    group = membership(source)

    with pytest.raises(Fenced):
        publisher.publish(
            [a_change("s1")], [], {1: Committed(9, "")}, group._replace(generation_id=group.generation_id - 1)
        )

    assert source.committed([0, 1]) == {}
    assert len(published(kafka, settings.output_topic)) == 1
