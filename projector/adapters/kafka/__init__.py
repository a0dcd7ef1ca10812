"""Kafka: the group's member that reads, the producer that publishes, the topics, and a reader without a group."""

from projector.adapters.kafka.publisher import KafkaPublisher
from projector.adapters.kafka.reader import TopicReader
from projector.adapters.kafka.settings import KafkaSettings, wrong_extras
from projector.adapters.kafka.source import KafkaSource
from projector.adapters.kafka.topics import Cluster, KafkaTopics, Topic, problems

__all__ = [
    "Cluster",
    "KafkaPublisher",
    "KafkaSettings",
    "KafkaSource",
    "KafkaTopics",
    "Topic",
    "TopicReader",
    "problems",
    "wrong_extras",
]
