"""Real Kafka and real Redis for development and tests, started, stopped, killed and paused on this machine.

Law: nothing here knows the projector; what it starts listens on loopback only and writes under its `home` only.
"""
