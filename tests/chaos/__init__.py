"""Chaos on the real stack: workers under steady load while everything they stand on is broken, then the laws are checked
(contract §8). `python -m tests.chaos --help`.

Law: the load goes round every fault, so the log itself is whole; what the projector makes of it has to be the oracle's.
"""
