"""The operator's lists."""

from collections.abc import Sequence
from dataclasses import asdict

from chassis.database import Database
from sqlmodel import SQLModel, col, select

from submission.adapters.tables import ActionRow, ApiKeyRow, LetterRow, ProjectRow
from submission.ports import AdminAction, KeptLetter


class SqlDirectory:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_project(self, project_id: str) -> None:
        await self._add(ProjectRow, {"id": project_id})

    async def project_ids(self) -> Sequence[str]:
        async with self._database.transaction() as session:
            return (await session.exec(select(ProjectRow.id).order_by(ProjectRow.id))).all()

    async def list_key(self, project_id: str, key_id: str) -> None:
        await self._add(ApiKeyRow, {"id": key_id, "project_id": project_id})

    async def key_ids(self, project_id: str) -> Sequence[str]:
        query = select(ApiKeyRow.id).where(ApiKeyRow.project_id == project_id).order_by(ApiKeyRow.id)
        async with self._database.transaction() as session:
            return (await session.exec(query)).all()

    async def note(self, action: AdminAction) -> None:
        async with self._database.transaction() as session:
            session.add(ActionRow(**asdict(action)))

    async def actions(self, limit: int) -> Sequence[AdminAction]:
        query = select(ActionRow).order_by(col(ActionRow.id).desc()).limit(limit)
        async with self._database.transaction() as session:
            rows = (await session.exec(query)).all()
        return [AdminAction(**row.model_dump(exclude={"id"})) for row in rows]

    async def keep_letter(self, letter: KeptLetter) -> None:
        await self._add(LetterRow, asdict(letter))

    async def letters(self, limit: int) -> Sequence[KeptLetter]:
        query = select(LetterRow).order_by(col(LetterRow.at).desc()).limit(limit)
        async with self._database.transaction() as session:
            rows = (await session.exec(query)).all()
        return [KeptLetter(**row.model_dump()) for row in rows]

    async def _add(self, table: type[SQLModel], row: dict[str, object]) -> None:
        async with self._database.transaction() as session:
            await session.exec(self._database.insert(table).values(row).on_conflict_do_nothing())
