"""What the projector costs, measured against references in the same run: `python -m tests.bench`.

Law: nothing here is a test and nothing fails for being slow; each command prints what it measured, on what, and the ratio.
"""
