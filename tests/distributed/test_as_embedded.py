"""What holds of the embedded platform holds of the distributed one, with real engines."""

from collections.abc import Iterator

import pytest

from tests.distributed.cluster_under_test import ClusterUnderTest, cluster_under_test
from tests.integration.test_bad_input import (  # noqa: F401 - collected here too
    test_a_poisonous_event_does_not_delay_the_next_good_one,
    test_a_repeated_event_is_one_task_and_another_body_is_rejected,
    test_a_request_for_a_project_that_does_not_exist_makes_no_task,
    test_a_request_outside_the_catalog_is_rejected_by_event_and_webhook,
    test_an_event_off_the_schema_is_dead_lettered_with_the_reason,
    test_an_oversized_event_is_dead_lettered,
    test_what_is_no_cloudevent_is_dead_lettered,
)
from tests.integration.test_live import (  # noqa: F401
    test_a_projects_watcher_hears_of_all_its_tasks_and_of_no_others,
    test_a_tasks_life_with_its_progress,
    test_a_watcher_that_goes_leaves_nothing_behind,
    test_a_web_socket_is_for_ones_own_tasks,
    test_by_web_socket,
    test_resumed_without_a_gap,
)
from tests.integration.test_scenarios import (  # noqa: F401
    test_a_projects_tasks_are_managed,
    test_a_sound,
    test_a_video_with_progress_on_the_way,
    test_an_image_from_a_request_event,
    test_the_system_is_monitored,
    test_what_could_not_start_in_time_expires,
)


@pytest.fixture(scope="module")
def platform() -> Iterator[ClusterUnderTest]:
    """One replica of everything, with the engines that users have."""
    with cluster_under_test() as running:
        yield running


async def test_a_content_system_may_ask_for_tasks_and_do_nothing_else(platform: ClusterUnderTest) -> None:
    async with platform.project() as project:
        for topic, component in (
            ("task-events", "events"),
            ("dead-letters", "events"),
            ("task-control", "broadcast"),
            ("worker-heartbeats", "broadcast"),
            ("assignments-image", "broadcast"),
        ):
            assert await project.publish_raw(topic, b"{}", component=component) in (403, 404)
        state = await project.http.get(f"{platform.access.dapr}/v1.0/state/taskstate/task:x")
        assert state.status_code in (401, 403, 404)
