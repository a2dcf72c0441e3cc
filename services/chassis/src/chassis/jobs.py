"""Dapr's Jobs API as the `Jobs` port."""

import asyncio
from datetime import datetime

from contracts.errors import DependencyUnavailable
from dapr.aio.clients import ConstantFailurePolicy, Job
from grpc import StatusCode

from chassis.sidecar import CALL_TIMEOUT_SECONDS, SDK_ERRORS, Sidecar, status_of, unavailable

# Dapr's own default gives up on a callback after three tries a second apart.
UNTIL_ANSWERED = ConstantFailurePolicy(max_retries=None, interval_seconds=1)


class DaprJobs:
    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    async def schedule(self, name: str, due: datetime) -> None:
        job = Job(name=name, due_time=due.isoformat(), failure_policy=UNTIL_ANSWERED)
        try:
            # daprd waits up to 30 s for a scheduler that is away.
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                await self._sidecar.client.schedule_job(job, overwrite=True)
        except TimeoutError as error:
            raise DependencyUnavailable(f"scheduling {name}: the Dapr scheduler does not answer") from error
        except SDK_ERRORS as error:
            raise unavailable(f"scheduling {name}", error) from error

    async def cancel(self, name: str) -> None:
        try:
            await self._sidecar.client.delete_job(name)
        except SDK_ERRORS as error:
            if status_of(error) is not StatusCode.NOT_FOUND:
                raise unavailable(f"cancelling {name}", error) from error
