from chassis.process import run_service

from notification.app import create
from notification.settings import NotificationSettings

if __name__ == "__main__":
    run_service(create, NotificationSettings)
