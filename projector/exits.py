"""Exit codes, the same for every command (contract §9); scripts depend on them."""

DONE = 0
"""It was done; rejects are no failure."""
FAILED = 1
"""It could not be done, or a check found a difference."""
WRONG = 2
"""Wrong usage, settings, topic or file; nothing was written."""
