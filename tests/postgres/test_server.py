"""What a Postgres server does to those who use it, and what they say of it: on a real one."""

import asyncio

import pytest
from chassis.database import Database, insert
from contracts.errors import DependencyUnavailable
from contracts.identifiers import task_id_for
from contracts.testing.examples import a_task
from sqlalchemy import Column, Integer, MetaData, Table, Text, func, select, text, update
from structlog.testing import capture_logs
from submission.adapters.read_model import SqlReadModel
from submission.adapters.tables import Table as Submission
from submission.domain import TaskFilter, words_of

from tests.postgres_server import PASSWORD, Server

METADATA = MetaData()
SHOTS = Table("shots", METADATA, Column("id", Integer, primary_key=True), Column("title", Text))


async def number_of_shots(database: Database) -> int:
    async with database.transaction() as tx:
        return int((await tx.execute(select(func.count()).select_from(SHOTS))).scalar_one())


async def end_connection(operator: Database, process_id: int) -> None:
    async with operator.transaction() as tx:
        await tx.execute(select(func.pg_terminate_backend(process_id)))


async def refused(url: str) -> str:
    with pytest.raises(DependencyUnavailable) as raised:
        await Database(url, METADATA).check()
    assert PASSWORD not in raised.value.detail
    return raised.value.detail


async def test_what_is_wrong_with_the_address_is_said_without_the_password(server: Server) -> None:
    at = f"127.0.0.1:{server.port}"
    assert await refused(server.url(password="wrong-" + PASSWORD)) == (
        f'the database postgres at {at} does not let us in: password authentication failed for user "postgres"'
    )
    assert await refused(server.url("films")) == (
        f'the database films at {at} is not there: database "films" does not exist'
    )
    assert "cannot be reached: [Errno 111]" in await refused(server.url().replace(str(server.port), "1"))
    assert "cannot be reached: [Errno -" in await refused(server.url().replace("127.0.0.1", "nowhere.invalid"))
    assert "rejected SSL" in await refused(server.url() + "?sslmode=require")


async def test_a_server_that_is_stopped_is_used_again_once_it_is_back(server: Server) -> None:
    database = Database(server.url(), METADATA)
    async with database.opened():
        before = await number_of_shots(database)
        server.stop()
        try:
            for _ in range(2):
                with pytest.raises(DependencyUnavailable, match="the database postgres at"):
                    await number_of_shots(database)
            with pytest.raises(DependencyUnavailable, match="cannot be reached"):
                await database.check()
        finally:
            server.start()
        assert await number_of_shots(database) == before
        await database.check()


async def test_a_server_that_stops_within_a_transaction(server: Server) -> None:
    database = Database(server.url(), METADATA)
    async with database.opened():
        before = await number_of_shots(database)

        async def add_two() -> None:
            async with database.transaction() as tx:
                await tx.execute(insert(SHOTS), {"id": 100, "title": "half"})
                server.stop()
                server.start()
                await tx.execute(insert(SHOTS), {"id": 101, "title": "done"})

        with pytest.raises(DependencyUnavailable, match="the database postgres at"):
            await add_two()
        assert await number_of_shots(database) == before


async def test_a_connection_that_an_operator_ends(server: Server) -> None:
    database, operator = Database(server.url(), METADATA), Database(server.url(), METADATA)
    async with database.opened(), operator.opened():

        async def go_on() -> None:
            async with database.transaction() as tx:
                mine = (await tx.execute(select(func.pg_backend_pid()))).scalar_one()
                await end_connection(operator, mine)
                await tx.execute(text("SELECT 1"))

        with pytest.raises(DependencyUnavailable, match="has lost the connection"):
            await go_on()
        await database.check()


async def test_connections_that_the_server_has_closed_meanwhile_are_not_used(server: Server) -> None:
    database, operator = Database(server.url(), METADATA), Database(server.url(), METADATA)
    async with database.opened(), operator.opened():
        mine = [await process_id_of(database) for _ in range(2)]
        await end_connection(operator, mine[0])
        await asyncio.sleep(0.1)
        assert await process_id_of(database) not in mine


async def process_id_of(database: Database) -> int:
    async with database.transaction() as tx:
        return int((await tx.execute(select(func.pg_backend_pid()))).scalar_one())


async def test_a_start_waits_for_the_server_and_says_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.background.SILENT_FOR_SECONDS", 0.0)
    database = Database(server.url(), METADATA)
    server.stop()
    with capture_logs() as said:

        async def start() -> int:
            async with database.opened():
                return await number_of_shots(database)

        starting = asyncio.create_task(start())
        try:
            while not said:
                await asyncio.sleep(0.01)
            assert not starting.done()
        finally:
            server.start()
        assert await starting >= 0
    assert "cannot be reached" in said[0]["reason"]


async def test_two_replicas_make_the_tables_at_once(server: Server) -> None:
    maker = Database(server.url(), METADATA)
    for _ in range(10):
        async with maker.opened(), maker.transaction() as tx:
            await tx.execute(text("DROP TABLE shots"))

        async def open_it() -> None:
            database = Database(server.url(), METADATA)
            async with database.opened():
                await database.check()

        await asyncio.gather(*(open_it() for _ in range(4)))


async def test_a_deadlock_asks_one_to_repeat_and_lets_the_other_through(server: Server) -> None:
    database = Database(server.url(), METADATA)
    async with database.opened():
        async with database.transaction() as tx:
            rows = [{"id": number, "title": ""} for number in (1, 2)]
            await tx.execute(insert(SHOTS).on_conflict_do_nothing(), rows)
        both_have_one = asyncio.Barrier(2)

        async def take(first: int, then: int) -> None:
            async with database.transaction() as tx:
                await tx.execute(update(SHOTS).where(SHOTS.c.id == first).values(title="mine"))
                await both_have_one.wait()
                await tx.execute(update(SHOTS).where(SHOTS.c.id == then).values(title="mine"))

        outcomes = await asyncio.gather(take(1, 2), take(2, 1), return_exceptions=True)
    [repeat] = [outcome for outcome in outcomes if outcome is not None]
    assert isinstance(repeat, DependencyUnavailable)
    assert "wants the transaction repeated: deadlock detected" in repeat.detail


async def test_a_statement_that_takes_too_long_is_ended(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.postgres.STATEMENT_SECONDS", 1)
    database = Database(server.url(), METADATA)
    async with database.opened():
        with pytest.raises(DependencyUnavailable, match="took too long"):
            async with database.transaction() as tx:
                await tx.execute(text("SELECT pg_sleep(5)"))
        await database.check()


async def test_a_server_that_falls_silent_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a network that drops everything: its own time limit does not reach us."""
    monkeypatch.setattr("chassis.postgres.ANSWER_WITHIN_SECONDS", 0.5)
    database = Database(server.url(), METADATA)
    async with database.opened():
        with pytest.raises(DependencyUnavailable, match="does not answer in time"):
            async with database.transaction() as tx:
                await tx.execute(text("SELECT pg_sleep(5)"))
        await database.check()


async def test_too_many_connections(server: Server) -> None:
    maker = Database(server.url(), METADATA)
    async with maker.opened():
        async with maker.transaction() as tx:
            await tx.execute(text("CREATE ROLE narrow LOGIN CONNECTION LIMIT 1 PASSWORD 'n'"))
        narrow = server.url(user="narrow", password="n")
        first, second = Database(narrow, MetaData()), Database(narrow, MetaData())
        async with first.opened(), first.transaction() as tx:
            await tx.execute(text("SELECT 1"))
            with pytest.raises(DependencyUnavailable, match=r"has run out of something: too many connections"):
                await second.check()


async def test_nobody_waits_for_ever_for_a_free_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chassis.postgres.FREE_WITHIN_SECONDS", 0.1)
    monkeypatch.setattr("chassis.postgres.CONNECTIONS", 1)
    database = Database(server.url(), METADATA)
    async with database.opened(), database.transaction() as tx:
        await tx.execute(text("SELECT 1"))
        with pytest.raises(DependencyUnavailable, match="keeps all 1 connections busy"):
            await number_of_shots(database)


async def test_a_schema_in_the_url_keeps_services_apart(server: Server) -> None:
    maker = Database(server.url(), METADATA)
    async with maker.opened(), maker.transaction() as tx:
        await tx.execute(text("CREATE SCHEMA apart"))
        await tx.execute(insert(SHOTS).on_conflict_do_nothing(), {"id": 1, "title": ""})
    apart = Database(server.url() + "?options=-csearch_path%3Dapart&channel_binding=prefer", METADATA)
    async with apart.opened():
        assert await number_of_shots(apart) == 0


async def test_nul_and_every_other_character_can_be_kept(server: Server) -> None:
    database = Database(server.url(), METADATA)
    async with database.opened():
        for number, title in enumerate(("a\0b", "\x01\x7f\u2028\uffff", "\U0001f3ac"), start=200):
            async with database.transaction() as tx:
                await tx.execute(insert(SHOTS), [{"id": number, "title": title}, {"id": number + 100, "title": title}])
                kept = (await tx.execute(select(SHOTS.c.title).where(SHOTS.c.id == number))).scalar_one()
            assert kept == title.replace("\0", "\ufffd")


async def test_beginnings_of_words_are_found_whatever_the_servers_language(server: Server) -> None:
    german = server.create_database("german", "LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' TEMPLATE template0")
    database = Database(german, Submission.metadata)
    read_model = SqlReadModel(database)
    async with database.opened():
        for word in ("straße", "Strasse", "über", "uber", "ø"):
            task = a_task(id=task_id_for("p1", word), project_id="p1", params={"prompt": word})
            await read_model.record(task, word, "task.accepted.v1")
        for beginning, expected in (("str", {"straße", "Strasse"}), ("ü", {"über"}), ("strasse", {"Strasse"})):
            page = await read_model.list("p1", TaskFilter(words=words_of(beginning)), 10, None)
            assert {task.params["prompt"] for task in page.tasks} == expected
