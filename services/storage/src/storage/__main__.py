from chassis.process import run_service

from storage.app import create
from storage.settings import StorageSettings

if __name__ == "__main__":
    run_service(create, StorageSettings)
