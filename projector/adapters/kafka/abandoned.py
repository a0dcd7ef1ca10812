"""Transactions that dead workers left open, ended: else who takes over waits until the broker times them out.

Law: only a worker of our group that is no member of it is fenced. What it would still commit, the group would refuse.
"""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

import structlog
from kafka import KafkaAdminClient, KafkaProducer

from projector.adapters.kafka.settings import KafkaSettings, admin_options, instance_id, producer_options
from projector.adapters.kafka.trouble import asking, made
from projector.errors import ProjectorError, Unavailable
from projector.instance import group_of

log = structlog.get_logger()


ABORT_TIMEOUT_MS = 10_000


def end_abandoned(settings: KafkaSettings) -> bool:
    """Aborts what they left; False where the broker does not let us: the log says so, and it is left to time out."""
    try:
        for name in _abandoned(settings):
            log.warning("ends the transaction of a worker that is gone", worker=name)
            _abort(settings, name)
    except ProjectorError as error:
        log.warning("cannot look for transactions of workers that are gone: they have to time out", why=str(error))
        return False
    return True


def _abandoned(settings: KafkaSettings) -> list[str]:
    """The transactions are asked for first: who begins one in between was a member before, and still is."""
    where = settings.bootstrap_servers
    admin = made(KafkaAdminClient, admin_options(settings), "look for open transactions", where)
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
    options = producer_options(settings, transactional_id) | {"max_block_ms": ABORT_TIMEOUT_MS}
    producer = made(KafkaProducer, options, what, where)
    try:
        with asking(what, where):
            producer.init_transactions()
    finally:
        producer.close(timeout=1)
