"""The topics as the broker has them: looked at by `doctor` and at start, made only where asked for (contract §6)."""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Container, Mapping
from types import TracebackType
from typing import Any, Self

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import TopicAlreadyExistsError
from msgspec import Struct

from projector.adapters.kafka.settings import MAKE_TOPICS, RECORD_BYTES_MAX, KafkaSettings, admin_options
from projector.adapters.kafka.trouble import asking, made
from projector.errors import Unavailable, WrongInput

DAY_MS = 86_400_000
INPUT_PARTITIONS = 4
REJECT_BYTES = 1 << 20
"""Key and headers of an input record, at most about so much, and 64 KiB of its value."""
_UNKNOWN_TOPIC = 3  # Error code UNKNOWN_TOPIC_OR_PARTITION.


class Topic(Struct, frozen=True):
    """One topic; `id` is empty where the broker is too old to have any (before 2.8)."""

    name: str
    id: str
    partitions: int
    leaderless: tuple[int, ...]
    """Partitions that cannot be read or written for now."""
    in_sync: dict[int, tuple[int, int]]
    """By partition how many of its replicas have all of it, and how many there should be."""
    settings: dict[str, str]


class Cluster(Struct, frozen=True):
    """What the broker says of itself and of our three topics; None: there is no such topic."""

    id: str
    input: Topic | None
    output: Topic | None
    rejects: Topic | None


class KafkaTopics:
    """An administrator's view; use as a context."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin = made(KafkaAdminClient, admin_options(settings), "connect", settings.bootstrap_servers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._admin.close()

    def cluster(self) -> Cluster:
        """Raises `Unavailable` where the broker does not answer, `WrongInput` where it does not let us ask."""
        names = (self._settings.input_topic, self._settings.output_topic, self._settings.rejects_topic)
        with self._asking("look at the topics"):
            cluster_id = self._admin.describe_cluster()["cluster_id"] or ""
            found = {one["name"]: one for one in self._admin.describe_topics(list(dict.fromkeys(names)))}
        return Cluster(cluster_id, *(self._topic(name, found.get(name)) for name in names))

    def check(self) -> Cluster:
        """The cluster, if the service can run with it; else `WrongInput` with everything that is wrong, a line each."""
        cluster = self.cluster()
        wrong = problems(self._settings, cluster)
        if wrong:
            raise WrongInput("\n".join(wrong))
        waiting = [
            topic.name for topic in (cluster.input, cluster.output, cluster.rejects) if topic and topic.leaderless
        ]
        if waiting:
            raise Unavailable(f"partitions of {', '.join(waiting)} have no leader; are all brokers up?")
        return cluster

    def require_taken(self, names: Container[str]) -> None:
        """Raises `Unavailable` where one of these topics of ours takes no records for now."""
        cluster = self.cluster()
        wanted = [topic for topic in (cluster.output, cluster.rejects) if topic is not None and topic.name in names]
        if found := [why for topic in wanted if (why := refusing(topic))]:
            raise Unavailable("\n".join(found))

    def record_bytes_max(self) -> dict[str, int]:
        """By topic of ours the size of the largest batch that it takes, compressed."""
        return {
            name: record_bytes_max(self._settings_of(name))
            for name in (self._settings.output_topic, self._settings.rejects_topic)
        }

    def create(self, *, input_partitions: int = INPUT_PARTITIONS) -> list[str]:
        """Makes those of the three topics that are missing, replicated as the broker has it; gives their names."""
        cluster, settings = self.cluster(), self._settings
        partitions = cluster.input.partitions if cluster.input is not None else input_partitions
        wanted = [
            (settings.input_topic, cluster.input, partitions, {}),
            (settings.output_topic, cluster.output, partitions, _SNAPSHOTS),
            (settings.rejects_topic, cluster.rejects, 1, _REJECTS),
        ]
        missing = {
            name: {"num_partitions": count, "replication_factor": -1, "configs": configs}
            for name, topic, count, configs in wanted
            if topic is None
        }
        if missing:
            with self._asking(f"make the topics {', '.join(missing)}"):
                try:
                    self._admin.create_topics(missing, wait_for_metadata=True)
                except TopicAlreadyExistsError:  # Somebody else made one in the meantime: ask again which are left.
                    return self.create(input_partitions=input_partitions)
        return list(missing)

    def _topic(self, name: str, described: dict[str, Any] | None) -> Topic | None:
        if described is None or described["error_code"] == _UNKNOWN_TOPIC:
            return None
        if described["error_code"]:
            raise WrongInput(
                f"topic {name} cannot be looked at (Kafka's error {described['error_code']}); may we read it?"
            )
        parts = described["partitions"]
        topic_id = described.get("topic_id")
        return Topic(
            name=name,
            id="" if topic_id is None or not str(topic_id).strip("0-A=") else str(topic_id),
            partitions=len(parts),
            leaderless=tuple(sorted(part["partition_index"] for part in parts if part["leader_id"] < 0)),
            in_sync={part["partition_index"]: (len(part["isr_nodes"]), len(part["replica_nodes"])) for part in parts},
            settings=self._settings_of(name),
        )

    def _settings_of(self, name: str) -> dict[str, str]:
        with self._asking(f"read the settings of topic {name}"):
            asked = self._admin.describe_configs([ConfigResource("TOPIC", name)], config_filter="all")
        return {key: str(entry["value"]) for key, entry in asked["topic"][name].items()}

    def _asking(self, what: str) -> Any:
        return asking(what, self._settings.bootstrap_servers)


def refusing(topic: Topic) -> str | None:
    """Why a topic takes no records that all replicas in sync have to have, and what to do; None where it takes them."""
    least = int(topic.settings.get("min.insync.replicas", 1))
    # Of fewer replicas than are asked for the broker asks for all.
    lacking = {one: have for one, have in topic.in_sync.items() if have[0] < min(least, have[1])}
    if not lacking:
        return None
    in_sync, replicas = min(lacking.values())
    return (
        f"topic {topic.name} takes no records: of partitions {sorted(lacking)} {in_sync} of {replicas} replicas are in"
        f" sync, min.insync.replicas is {least}\nBring the brokers back that have the others, or set it lower"
    )


def record_bytes_max(settings: Mapping[str, str]) -> int:
    """A batch has to fit into a segment too."""
    return min(int(settings.get(name, RECORD_BYTES_MAX)) for name in ("max.message.bytes", "segment.bytes"))


def advice(settings: KafkaSettings, cluster: Cluster) -> list[str]:
    """What the service can run with, but not as well as it could, a line each that says what to do."""
    found = [why for topic in (cluster.output, cluster.rejects) if topic is not None and (why := refusing(topic))]
    for topic, what in (
        (cluster.output, "snapshots are published without their largest members"),
        (cluster.rejects, "rejects are published without their headers, key or value"),
    ):
        taken = RECORD_BYTES_MAX if topic is None else record_bytes_max(topic.settings)
        wanted = min(RECORD_BYTES_MAX, int(settings.extra.get("max_request_size", RECORD_BYTES_MAX)))
        if topic is not None and taken < (wanted if topic is cluster.output else REJECT_BYTES):
            found.append(f"topic {topic.name} takes {taken} bytes: larger {what}; set max.message.bytes={wanted}")
    return found


def problems(settings: KafkaSettings, cluster: Cluster) -> list[str]:
    """What keeps the service from running, a line each that says what to do."""
    found = []
    names = (settings.input_topic, settings.output_topic, settings.rejects_topic)
    for name, topic in zip(names, (cluster.input, cluster.output, cluster.rejects), strict=True):
        if topic is None:
            found.append(f"there is no topic {name}; {MAKE_TOPICS}")
    if len(set(names)) < len(names):
        found.append("input_topic, output_topic and rejects_topic have to be three topics")
    output = cluster.output
    if output is not None and "compact" not in output.settings.get("cleanup.policy", ""):
        found.append(
            f"topic {output.name} has cleanup.policy={output.settings.get('cleanup.policy')}, so nothing keeps the"
            " newest snapshot of a session; set cleanup.policy=compact,delete"
        )
    return found


_RECORD_BYTES = {"max.message.bytes": str(RECORD_BYTES_MAX)}
_SNAPSHOTS = {"cleanup.policy": "compact,delete", "retention.ms": str(30 * DAY_MS), **_RECORD_BYTES}
_REJECTS = {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS), **_RECORD_BYTES}
