# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"
import random

import pytest
from kafka.partitioner import default

from projector.adapters.kafka.outgoing import murmur2, partitioner


@pytest.mark.parametrize(
    ("key", "hashed"),
    [  # From Apache Kafka's own UtilsTest.testMurmur2.
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_a_key_has_the_partition_that_kafkas_java_clients_give_it(key: str, hashed: int) -> None:
    for partitions in (1, 7, 48):
        assert partitioner(partitions)(key) == (hashed & 0x7FFFFFFF) % partitions


def test_keys_are_hashed_as_kafka_python_does_it() -> None:
    dice = random.Random(1)
    keys = [dice.randbytes(size) for size in range(80) for _ in range(20)] + [b"\xff" * 13, b"\0" * 16]

    assert [murmur2(key) for key in keys] == [default.murmur2(key) for key in keys]
