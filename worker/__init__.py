"""The Celery application: the clock and the muscle of the service; the tables are the queue."""

from worker.app import app

__all__ = ["app"]
