"""`projector` that gives up what the broker does not take within seconds: `python -m tests.end_to_end.impatient run …`.

A transaction is aborted after one second and a record given up after three, which are 15 and 45 in the service.
"""

from __future__ import annotations

from projector.adapters.kafka import publisher, settings

# The module is imported again in each worker, so it is so there too.
if __name__ in ("__main__", "__mp_main__"):
    for module, name, short in (
        (settings, "TRANSACTION_TIMEOUT_MS", 1000),
        (settings, "DELIVERY_TIMEOUT_MS", 3000),
        (publisher, "FLUSH_TIMEOUT_S", 4.0),
    ):
        assert hasattr(module, name)
        setattr(module, name, short)

if __name__ == "__main__":
    from projector.cli import main

    main()
