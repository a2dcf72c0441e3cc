from chassis.process import run_service

from scheduling.app import create
from scheduling.settings import SchedulingSettings

if __name__ == "__main__":
    run_service(create, SchedulingSettings)
