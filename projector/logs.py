"""How the log is written: key=value on a terminal, JSON lines elsewhere, always on standard error."""

import logging
import sys
import time

import msgspec
import structlog

from projector.config import Config

log = structlog.get_logger()

SAID_AGAIN_S = 30.0
"""How often the same is said of what goes on."""


def set_up(config: Config) -> None:
    """Log from `config.log_level` on; the Kafka client only speaks up when something is wrong."""
    as_text = config.log_format == "text" or (config.log_format == "auto" and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer() if as_text else structlog.processors.JSONRenderer(serializer=_json)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[config.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    # A client's retries are not news; what comes of them is logged by us.
    logging.getLogger("kafka").setLevel(logging.CRITICAL if config.log_level != "debug" else logging.WARNING)
    # But for what a broker refuses and may take later: the producer tries for most of a minute, and says why here only.
    sender = logging.getLogger("kafka.producer.sender")
    sender.setLevel(logging.WARNING)
    sender.handlers, sender.propagate = [_Refusals()], False


class _Refusals(logging.Handler):
    """Tells of records that the broker does not take for now, each reason every `SAID_AGAIN_S` at most."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        why = next((str(part) for part in record.args or () if str(part).endswith("Error")), None)
        if "retrying" not in str(record.msg) or why is None:
            return
        now = time.monotonic()
        if now - self._said_at.get(why, -SAID_AGAIN_S) >= SAID_AGAIN_S:
            self._said_at[why] = now
            log.warning("the broker does not take records, tries again", why=why)


def _json(line: object, **_: object) -> str:
    return msgspec.json.encode(line, enc_hook=str).decode()
