"""Settings of the notification service."""

from datetime import timedelta

from chassis.settings import CommaSeparated, Duration, Ports, ProcessSettings
from pydantic import Field, SecretStr


class NotificationSettings(ProcessSettings):
    notification_database: str = "sqlite:///data/notification.db"
    """SQLAlchemy URL of the private tables."""
    admin_key: SecretStr = Field(min_length=16)
    """What an operator sends as X-Admin-Key: the one that submission has."""
    webhook_encryption_keys: SecretStr = Field(min_length=44)
    """Fernet keys for webhook secrets at rest, comma separated; the first encrypts, all decrypt."""
    webhook_private_hosts: CommaSeparated = ()
    """Networks such as `127.0.0.0/8` that webhooks may go to although they are not public."""
    webhook_ports: Ports = (443, 8443)
    """Ports of public addresses that webhooks may go to, comma separated."""
    webhook_timeout: Duration = timedelta(seconds=15)
    webhooks_at_once: int = 50
    webhook_disable_after: Duration = timedelta(days=5)
    """An endpoint that has accepted nothing for so long is disabled."""
    webhook_deliveries_kept: Duration = timedelta(days=30)
    """How long the delivery log shows what ended, and can replay it."""
    reminder_late_after: Duration = timedelta(seconds=30)
    """A reminder that is heard later than that is marked as late."""
    feed_kept: Duration = timedelta(hours=24)
    """How far back a live watcher can resume."""
    preview_link_keys: SecretStr | None = Field(default=None, min_length=44)
    """Fernet keys for links to previews, comma separated, which storage opens with any of its own; without, there are
    no previews."""
    live_connections: int = Field(default=200, ge=1)
    """How many live connections a project may have with one replica."""
    live_send_timeout: Duration = timedelta(seconds=30)
    """How long a live connection may take nothing of what is sent before it is dropped."""
