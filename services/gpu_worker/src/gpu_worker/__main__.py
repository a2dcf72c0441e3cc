from chassis.process import run_service

from gpu_worker.app import create
from gpu_worker.settings import WorkerSettings

if __name__ == "__main__":
    run_service(create, WorkerSettings)
