"""Folds journey events into sessions: Kafka in, Redis as state, a compacted Kafka topic out, effects exactly once."""

__version__ = "0.1.0"
