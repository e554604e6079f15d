"""The Celery application, its settings and the beat table.

At-least-once is the contract: any task may run twice, late or never, and changes nothing by it.
"""

from multiprocessing.sharedctypes import RawValue
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_shutting_down

from newsletter import config, logs, wiring
from newsletter.deliveries.ledger import SENDING_LEASE
from newsletter.summaries.writing import ROUND

settings = config.load()
# Made before the pool forks, so that a drain in a child hears of the shutdown. It has no lock: a child that is killed
# while it holds one would stop all the others.
_stopping = RawValue("b", 0)

DRAIN_SECONDS = 60
COLLECT_SECONDS = 1800.0
# A drain, the leases of what it began last, a margin: a drain that is killed leaves mails unknown.
_DRAIN_LIMIT = DRAIN_SECONDS + int(SENDING_LEASE.total_seconds()) + 60
# A round of summaries, an answer and its repair that were begun last, a margin.
_SUMMARY_LIMIT = int(ROUND.total_seconds() + 2 * settings.summaries.seconds) + 120
TIME_LIMIT = max(_DRAIN_LIMIT, _SUMMARY_LIMIT)

app = Celery("newsletter", broker=settings.broker, include=["worker.tasks"])
app.conf.update(
    task_default_queue=wiring.QUEUE,
    task_ignore_result=True,
    task_acks_late=True,  # a killed child's task runs again
    task_reject_on_worker_lost=True,
    task_time_limit=TIME_LIMIT,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": TIME_LIMIT + 120,  # a task that outlives it would run twice at once
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    },
    timezone="UTC",
    beat_scheduler="redbeat.RedBeatScheduler",  # any number of beats, one of them ticks
    beat_max_loop_interval=5,
    redbeat_lock_timeout=30,
    redbeat_key_prefix="newsletter:beat:",
    beat_schedule={
        "collect": {"task": "collect_due", "schedule": COLLECT_SECONDS, "options": {"expires": COLLECT_SECONDS}},
        "enrich": {"task": "enrich_due", "schedule": 600.0, "options": {"expires": 600}},
        "summarise": {"task": "summarise_due", "schedule": 300.0, "options": {"expires": 300}},
        "assemble": {"task": "assemble_due", "schedule": 60.0, "options": {"expires": 60}},
        "freeze": {"task": "freeze_due", "schedule": 60.0, "options": {"expires": 60}},
        "publish": {"task": "publish_due", "schedule": 60.0, "options": {"expires": 60}},
        "drain": {"task": "drain", "schedule": 10.0, "options": {"expires": 10}},
        "bounces": {"task": "follow_bounces", "schedule": 60.0, "options": {"expires": 60}},
        "sweep": {"task": "sweep", "schedule": 30.0, "options": {"expires": 30}},
        "purge": {"task": "purge", "schedule": 86400.0, "options": {"expires": 3600}},
    },
)


@worker_shutting_down.connect
def _stop_drains(**_: Any) -> None:  # noqa: ANN401 -- Celery's own signature
    """Let drains begin nothing more, wait for the answers that are due, and give back what they claimed."""
    _stopping.value = 1


def is_stopping() -> bool:
    """Tell whether this worker is about to end, in any of its processes."""
    return bool(_stopping.value)


@setup_logging.connect
def _set_up_logs(**_: Any) -> None:  # noqa: ANN401 -- Celery's own signature
    logs.configure(level=settings.log_level, as_json=settings.log_json)
