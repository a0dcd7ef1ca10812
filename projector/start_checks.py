"""What is looked at before anything is written: topics, Redis, namespace, and whether the log reaches as far as state.

Law: `run` begins with it and `doctor` shows it, so neither accepts what the other refuses; it changes nothing.
"""

from collections.abc import Mapping
from contextlib import closing

from msgspec import Struct

from projector.adapters.kafka import LaterLog, Onlooker
from projector.adapters.redis import RedisStore
from projector.config import Config
from projector.errors import WrongInput
from projector.life import Life, foresee
from projector.ports import Offset, Partition, Position
from projector.service import check, kafka_settings, start_of, store


class Begins(Struct, frozen=True):
    """How the service would begin."""

    identity: dict[str, str]
    """What the namespace is or will be recorded for."""
    life: Life
    """Of a worker that had all partitions."""

    @property
    def is_new(self) -> bool:
        return not (self.life.committed or any(self.life.shards))

    @property
    def lost(self) -> tuple[Partition, ...]:
        """Partitions that are committed and of which the store has nothing any more."""
        stored = {partition for positions in self.life.shards for partition in positions}
        return tuple(sorted(one for one, at in self.life.committed.items() if one not in stored and at > 0))


def check_start(config: Config) -> Begins:
    """Whether the service can run, and where it would begin.

    Raises:
        WrongInput: topics, Redis, namespace or log are not fit; says what to do.
        Unavailable: Kafka or Redis does not answer.
    """
    identity = check(config)
    with (
        closing(store(config, identity, records=False)) as kept,
        closing(Onlooker(kafka_settings(config))) as topic,
    ):
        log = LaterLog(topic, config.topic_generation)
        life = foresee(log, _OnlyLooks(kept), log.partitions(), 0, start_of(config))
    _check_partitions(config, life)
    return Begins(identity, life)


class _OnlyLooks:
    """A store whose origins are what is recorded, or would be."""

    def __init__(self, kept: RedisStore) -> None:
        self.shards, self._kept = kept.shards, kept

    def positions(self) -> list[dict[Partition, Position]]:
        return self._kept.positions()

    def origins(self, proposed: Mapping[Partition, Offset]) -> dict[Partition, Offset]:
        recorded = self._kept.origins_recorded()
        return {partition: recorded.get(partition, offset) for partition, offset in proposed.items()}


def _check_partitions(config: Config, life: Life) -> None:
    """A topic that was made anew with fewer partitions would leave sessions without the one that ends them."""
    known = 1 + max((partition for positions in life.shards for partition in positions), default=-1)
    if known > len(life.partitions):
        raise WrongInput(
            f"topic {config.input_topic} has {len(life.partitions)} partitions, namespace {config.namespace} knows"
            f" {known}.\nMake the topic with {known} partitions at least, or set another namespace"
        )
