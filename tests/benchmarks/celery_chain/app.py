"""Accept, generate, store and notify as a chain of Celery tasks, set so that nothing accepted is lost.

The work of each task is as trivial as that of the platform with an instant model, and each hands the next
what it has. Run by `tests.benchmarks.celery_chain.running`.
"""

import hashlib
import http.client
import json
import os
import shutil
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from celery import Celery, chain
from contracts.errors import InvalidRequest
from gpu_worker.testing.scripted import PNG

BROKER, FOLDER, RECEIVER = "BENCH_CELERY_BROKER", "BENCH_CELERY_FOLDER", "BENCH_CELERY_RECEIVER"

Payload = dict[str, Any]

app = Celery("movies", broker=os.environ.get(BROKER), backend=os.environ.get(BROKER))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_send_task_events=True,
    task_send_sent_event=True,
    broker_connection_retry_on_startup=True,
    task_serializer="json",
    result_serializer="json",
)


def accept(request: Payload) -> Payload:
    params = request.get("params")
    if request.get("model") != "tiny-image" or not isinstance(params, dict) or not params.get("prompt"):
        raise InvalidRequest("no such request", [])
    return request | {"status": "processing", "project": "bench"}


def generate(task: Payload) -> Payload:
    path = Path(os.environ[FOLDER]) / "staging" / f"{task['id']}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PNG)
    return task | {"staged": str(path), "sha256": hashlib.sha256(PNG).hexdigest()}


def store(task: Payload) -> Payload:
    staged, kept = Path(task["staged"]), Path(os.environ[FOLDER]) / task["project"] / f"{task['id']}.png"
    if hashlib.sha256(staged.read_bytes()).hexdigest() != task["sha256"]:
        raise ValueError("the file is not what was generated")
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(staged, kept)
    staged.unlink()
    return task | {"status": "done", "result": str(kept), "done_at": time.time()}


def notify(task: Payload) -> Payload:
    connection = receiver()
    connection.request("POST", "/webhook", json.dumps(task), {"Content-Type": "application/json"})
    connection.getresponse().read()
    return task


@cache
def receiver() -> http.client.HTTPConnection:
    """One kept connection per worker process."""
    return http.client.HTTPConnection(urlparse(os.environ[RECEIVER]).netloc)


STEPS = [app.task(step, name=f"movies.{step.__name__}") for step in (accept, generate, store, notify)]


def submit() -> str:
    """Sends one chain on its way; the id that `notify` will tell."""
    first, *rest = STEPS
    task_id = str(uuid.uuid4())
    request = {"id": task_id, "model": "tiny-image", "params": {"prompt": "a red circle", "steps": 1}}
    chain(first.s(request), *(step.s() for step in rest)).apply_async()
    return task_id
