"""Settings of a GPU worker."""

from datetime import timedelta
from pathlib import Path

from chassis.settings import CommaSeparated, Duration, ProcessSettings
from contracts.media import Medium


class WorkerSettings(ProcessSettings):
    worker_medium: Medium
    """The one media type this worker's Deployment is for."""
    worker_models_folder: Path = Path("data/models")
    """Where weights lie, and are put when they have to be fetched: a volume of the node."""
    worker_scratch: Path = Path("data/scratch")
    """Where inputs and results lie while a task runs."""
    worker_preload: CommaSeparated = ()
    """Models to load before the worker says that it is ready, by their keys in the catalog."""
    worker_quarantine: Duration = timedelta(minutes=10)
    """How long a device that has failed several tasks in a row is left alone."""
    worker_heartbeat: Duration = timedelta(seconds=5)
    worker_threads: int | None = None
    """CPU threads of the engine; torch's own choice when left out."""
    worker_wait_for_batch: Duration = timedelta(seconds=0.3)
    """How long the next of those that are to share a forward pass is waited for, once one of them has come."""
    worker_preview_every: Duration = timedelta(seconds=2)
    """How often a run that somebody watches shows a preview, at most."""
    worker_stop_within: Duration = timedelta(seconds=30)
    """How long a run that must stop may take to its next step before its engine is killed."""
    worker_grace: Duration = timedelta(seconds=30)
    """How long a run may go on after the worker was told to stop; what is left then is handed back to the queue."""
    worker_pod: str | None = None
    """The Kubernetes pod that this worker is in: marked while it has work, so that others are removed first."""
    worker_keep_trying: Duration = timedelta(minutes=10)
    """How long a result is tried to be handed in while the state or object store does not answer."""
    first_retry: Duration = timedelta(seconds=2)
    longest_retry: Duration = timedelta(minutes=5)
