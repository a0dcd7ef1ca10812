"""What the clients say that an operator has to hear."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

from projector.config import load
from projector.logs import set_up

if TYPE_CHECKING:
    import pytest

# As kafka-python 3.0.12 has it.
RETRYING = "%s: Got error produce response on topic-partition %s, retrying (%s attempts left): %s%s"


def test_why_a_broker_does_not_take_records_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(load(environment={"PROJECTOR_LOG_FORMAT": "json"}))
    sender = logging.getLogger("kafka.producer.sender")

    for _ in range(3):
        sender.warning(RETRYING, "<Sender>", "topic-0", 2147483646, "NotEnoughReplicasError", "")
    sender.warning("%s: something else", "<Sender>")

    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert told["event"] == "the broker does not take records, tries again"
    assert told["why"] == "NotEnoughReplicasError"


def test_the_message_that_is_listened_for_is_the_client_s() -> None:
    from inspect import getsource

    from kafka.producer import sender

    assert '"%s: Got error produce response on topic-partition %s, retrying (%s attempts left): %s%s"' in getsource(
        sender
    )
