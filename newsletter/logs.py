"""Logging: one line an event, readable in a terminal, JSON for machines; never an address, a token or a secret."""

import logging
import sys

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor


class _StandardError:
    """Standard error as it is at each line: whoever captures it may have given it back since."""

    def write(self, text: str) -> int:
        """Write text."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Send it off."""
        sys.stderr.flush()


class _Foreign(logging.StreamHandler[_StandardError]):
    """Writes what libraries log, in our form."""


def configure(*, level: str, as_json: bool) -> None:
    """Set up the logs of this process; they go to standard error.

    Libraries are heard from WARNING on: that is how Celery says that a task failed or a broker is gone.
    """
    render = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    chain: list[Processor] = [
        _without_arguments,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    lowest = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[*chain, render],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.PrintLoggerFactory(_StandardError()),  # type: ignore[arg-type]  # it writes and flushes
        cache_logger_on_first_use=False,  # whoever configures again, a test or a forked child, is heard by all
    )
    _hear_libraries(max(lowest, logging.WARNING), chain, render)


def _without_arguments(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Leave out what a call that is tried again was given: deliveries in hand are among it, with their addresses."""
    if event.get("event") == "stamina.retry_scheduled":
        event.pop("args", None)
        event.pop("kwargs", None)
    return event


def _hear_libraries(level: int, chain: list[Processor], render: Processor) -> None:
    """Send what libraries log the way of our own events."""
    handler = _Foreign(_StandardError())
    handler.setFormatter(
        ProcessorFormatter(foreign_pre_chain=chain, processors=[ProcessorFormatter.remove_processors_meta, render])
    )
    root = logging.getLogger()
    root.handlers = [*(other for other in root.handlers if not isinstance(other, _Foreign)), handler]
    root.setLevel(level)
