"""How the log is written: key=value on a terminal, JSON lines elsewhere, always on standard error."""

import logging
import sys

import msgspec
import structlog

from projector.config import Config


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


def _json(line: object, **_: object) -> str:
    return msgspec.json.encode(line, enc_hook=str).decode()
