"""Transactions that dead workers left open, ended: else who takes over waits until the broker times them out.

Law: only a worker of our group that is no member of it is fenced. That does nothing which the broker's time-out could
not do at any moment: a transaction is committed or aborted as a whole before we read from where it leaves us, and its
owner, if it lives, begins a new life.
"""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

import random
import time

import structlog
from kafka import KafkaAdminClient, KafkaProducer

from projector.adapters.kafka.lasting import keep_requests
from projector.adapters.kafka.settings import KafkaSettings, admin_options, instance_id, producer_options
from projector.adapters.kafka.trouble import asking, made
from projector.errors import ProjectorError, Unavailable
from projector.instance import group_of

log = structlog.get_logger()

_CALL_TIMEOUT_MS = 5000
"""Of each call, whatever the settings say: some of them one after the other, within one that the watchdog waits for."""
_TIMEOUTS = {"bootstrap_timeout_ms": _CALL_TIMEOUT_MS, "request_timeout_ms": _CALL_TIMEOUT_MS}

_BEGIN_S = 10
"""After so long no further transaction is begun to be ended: it times out, or another worker has ended it."""


def end_abandoned(settings: KafkaSettings) -> bool:
    """Aborts what they left; False where the broker does not tell of it: then it times out."""
    until = time.monotonic() + _BEGIN_S
    try:
        names = _abandoned(settings)
    except ProjectorError as error:
        log.info("cannot look for transactions of workers that are gone: one that was left times out", why=str(error))
        return False
    random.shuffle(names)  # Others begin with another one.
    for name in names:
        if time.monotonic() < until:
            _abort(settings, name)
    return True


def _abandoned(settings: KafkaSettings) -> list[str]:
    """The transactions are asked for first: who begins one in between was a member before, and still is."""
    where = settings.bootstrap_servers
    admin = made(KafkaAdminClient, admin_options(settings) | _TIMEOUTS, "look for open transactions", where)
    try:
        with asking("look for open transactions", where):
            listed = admin.list_transactions(state_filters=["Ongoing"])
            opened = [one.transactional_id for listing in listed.values() for one in listing]
            group = admin.describe_groups([settings.group_id])[settings.group_id]
            if group["error"]:
                raise Unavailable(f"Kafka at {where} does not tell who is in {settings.group_id}: {group['error']}")
    finally:
        admin.close()
    members = {member["group_instance_id"] for member in group["members"]}
    return [one for one in opened if group_of(one) == settings.group_id and instance_id(one) not in members]


def _abort(settings: KafkaSettings, transactional_id: str) -> None:
    what, where = "end a transaction", settings.bootstrap_servers
    options = producer_options(settings, transactional_id) | _TIMEOUTS | {"max_block_ms": _CALL_TIMEOUT_MS}
    try:
        producer = made(KafkaProducer, options, what, where)
        try:
            with asking(what, where):
                keep_requests(producer)
                producer.init_transactions()
        finally:
            producer.close(timeout=1)
    except ProjectorError as error:
        log.warning("could not end the transaction of a worker that is gone", member=transactional_id, why=str(error))
    else:
        log.warning("ended the transaction of a worker that is gone", member=transactional_id)
