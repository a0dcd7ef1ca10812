"""Kafka: the group's member that reads, the producer that publishes, the topics, and a reader without a group."""

from projector.adapters.kafka.fitting import Cut
from projector.adapters.kafka.generations import LaterLog, of_generation
from projector.adapters.kafka.onlooker import Onlooker
from projector.adapters.kafka.publisher import KafkaPublisher
from projector.adapters.kafka.reader import TopicReader
from projector.adapters.kafka.settings import KafkaSettings, wrong_extras
from projector.adapters.kafka.source import KafkaSource
from projector.adapters.kafka.topics import Cluster, KafkaTopics, Topic, advice, problems

__all__ = [
    "Cluster",
    "Cut",
    "KafkaPublisher",
    "KafkaSettings",
    "KafkaSource",
    "KafkaTopics",
    "LaterLog",
    "Onlooker",
    "Topic",
    "TopicReader",
    "advice",
    "of_generation",
    "problems",
    "wrong_extras",
]
