"""Settings of the scheduling service."""

from datetime import timedelta

from chassis.settings import ProcessSettings


class SchedulingSettings(ProcessSettings):
    scheduling_database: str = "sqlite+aiosqlite:///data/scheduling.db"
    """SQLAlchemy URL of the private tables."""
    lease: timedelta = timedelta(seconds=30)
    """How long a run is believed in after its worker was last heard of."""
    start_within: timedelta = timedelta(seconds=15)
    """How soon a worker must begin what it was given."""
    ageing: timedelta = timedelta(minutes=10)
    """Waiting so long lifts a task by one priority."""
    usage_half_life: timedelta = timedelta(minutes=30)
    """How fast a project's past use of GPUs is forgotten when shares are compared."""
    first_retry: timedelta = timedelta(seconds=2)
    longest_retry: timedelta = timedelta(minutes=5)
