from chassis.process import run_service

from submission.app import create
from submission.settings import SubmissionSettings

if __name__ == "__main__":
    run_service(create, SubmissionSettings)
