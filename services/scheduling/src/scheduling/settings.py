"""Settings of the scheduling service."""

from datetime import timedelta

from chassis.settings import Duration, ProcessSettings


class SchedulingSettings(ProcessSettings):
    scheduling_database: str = "sqlite:///data/scheduling.db"
    """SQLAlchemy URL of the private tables."""
    leader_lease: Duration = timedelta(seconds=5)
    """How long a leader that has stopped beating is waited for before another replica takes over."""
    lease: Duration = timedelta(seconds=30)
    """How long a run is believed in after its worker was last heard of."""
    start_within: Duration = timedelta(seconds=15)
    """How soon a worker must begin what it was given."""
    ageing: Duration = timedelta(minutes=10)
    """Waiting so long lifts a task by one priority."""
    usage_half_life: Duration = timedelta(minutes=30)
    """How fast a project's past use of GPUs is forgotten when shares are compared."""
    first_retry: Duration = timedelta(seconds=2)
    longest_retry: Duration = timedelta(minutes=5)
    reminder_late_after: Duration = timedelta(seconds=30)
    """A reminder that is said later than that is marked as late."""
