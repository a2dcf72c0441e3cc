"""A project's tasks listed, searched and in the order in which they wait."""

import base64

import pytest

from tests.contract.conftest import Api


class TestListing:
    async def test_filters_narrow(self, api: Api) -> None:
        red = (await api.submit(tags=["hero", "night"], priority="high", title="Opening shot")).json()["id"]
        green = (await api.submit(model="tiny-audio", params={"prompt": "a green bird sings"}, tags=["night"])).json()[
            "id"
        ]
        for query, expected in (
            ({}, {red, green}),
            ({"tag": ["night"]}, {red, green}),
            ({"tag": ["night", "hero"]}, {red}),
            ({"medium": "audio"}, {green}),
            ({"model": "tiny-image"}, {red}),
            ({"priority": ["high", "low"]}, {red}),
            ({"status": "pending"}, {red, green}),
            ({"status": ["done", "failed"]}, set()),
            ({"q": "GREEN bi"}, {green}),
            ({"q": "opening"}, {red}),
            ({"q": "nothing like it"}, set()),
            ({"q": "' OR 1=1 --"}, set()),
            ({"q": "%"}, {red, green}),
        ):
            answer = await api.call("GET", "/projects/p1/tasks", params=query)
            assert {task["id"] for task in answer.json()["items"]} == expected, query

    @pytest.mark.parametrize(
        "sort", ["-created_at", "created_at", "-priority", "priority", "-updated_at", "updated_at"]
    )
    async def test_pages_hold_every_task_once_in_order(self, api: Api, sort: str) -> None:
        for number in range(7):
            api.world.clock.advance(seconds=number % 3)
            await api.submit(priority=["low", "medium", "high"][number % 3])
        seen, cursor = [], None
        while True:
            query = {"limit": 3, "sort": sort} | ({"cursor": cursor} if cursor else {})
            page = (await api.call("GET", "/projects/p1/tasks", params=query)).json()
            seen += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len({task["id"] for task in seen}) == 7
        ranks = {"low": 0, "medium": 1, "high": 2}
        values = [ranks[task["priority"]] if "priority" in sort else task[sort.lstrip("-")] for task in seen]
        assert values == sorted(values, reverse=sort.startswith("-"))

    @pytest.mark.parametrize(
        "cursor", ["nonsense", "", "W10=", "WyItY3JlYXRlZF9hdCIsMSwyXQ==", "WyJwcmlvcml0eSIsMSwieCJd", "ü", "A" * 600]
    )
    async def test_a_made_up_cursor_is_refused(self, api: Api, cursor: str) -> None:
        answer = await api.call("GET", "/projects/p1/tasks", params={"cursor": cursor})
        assert answer.status_code == (200 if cursor == "" else 422)

    @pytest.mark.parametrize(
        ("sort", "value", "task_id"),
        [
            ("-created_at", '"yesterday"', '"x"'),
            ("-created_at", '"2026-01-01T12:00:00"', '"x"'),
            ("-created_at", '"0001-01-01T00:00:00+14:00"', '"x"'),
            ("-created_at", '"2026-01-01T12:00:00Z"', r'"\ud800"'),
            ("priority", "4294967296", '"x"'),
            ("priority", "true", "{"),
        ],
    )
    async def test_a_cursor_with_what_no_column_can_hold_is_refused(
        self, api: Api, sort: str, value: str, task_id: str
    ) -> None:
        cursor = base64.urlsafe_b64encode(f'["{sort}",{value},{task_id}]'.encode()).decode()
        answer = await api.call("GET", "/projects/p1/tasks", params={"cursor": cursor, "sort": sort})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")

    @pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 201}, {"sort": "id"}, {"status": "lost"}])
    async def test_a_wrong_filter_is_refused(self, api: Api, query: dict[str, str]) -> None:
        answer = await api.call("GET", "/projects/p1/tasks", params=query)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


class TestQueue:
    async def test_shows_who_is_next(self, api: Api) -> None:
        ids = []
        for priority in ("low", "high", "medium"):
            ids.append((await api.submit(priority=priority)).json()["id"])
            api.world.clock.advance(seconds=10)
        await api.start((await api.submit()).json()["id"])
        queue = (await api.call("GET", "/projects/p1/queue")).json()
        assert [task["task_id"] for task in queue["tasks"]] == [ids[1], ids[2], ids[0]]
        assert [task["position"] for task in queue["tasks"]] == [1, 2, 3]
        assert (queue["waiting"], queue["processing"], queue["oldest_waiting_seconds"]) == (3, 1, 30)
        assert queue["waiting_by_priority"] == {"low": 1, "medium": 1, "high": 1}
