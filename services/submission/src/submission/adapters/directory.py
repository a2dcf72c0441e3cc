"""The operator's lists."""

from collections.abc import Sequence
from dataclasses import asdict

from chassis.database import Database, insert
from sqlalchemy import select
from sqlmodel import SQLModel, col

from submission.adapters.tables import ActionRow, ApiKeyRow, LetterRow, ProjectRow
from submission.ports import AdminAction, KeptLetter


class SqlDirectory:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_project(self, project_id: str) -> None:
        await self._add(ProjectRow, {"id": project_id})

    async def project_ids(self) -> Sequence[str]:
        async with self._database.statement() as tx:
            return (await tx.execute(select(col(ProjectRow.id)).order_by(col(ProjectRow.id)))).scalars().all()

    async def list_key(self, project_id: str, key_id: str) -> None:
        await self._add(ApiKeyRow, {"id": key_id, "project_id": project_id})

    async def key_ids(self, project_id: str) -> Sequence[str]:
        query = select(col(ApiKeyRow.id)).where(col(ApiKeyRow.project_id) == project_id).order_by(col(ApiKeyRow.id))
        async with self._database.statement() as tx:
            return (await tx.execute(query)).scalars().all()

    async def note(self, action: AdminAction) -> None:
        await self._add(ActionRow, asdict(action))

    async def actions(self, limit: int) -> Sequence[AdminAction]:
        query = select(ActionRow).order_by(col(ActionRow.id).desc()).limit(limit)
        async with self._database.statement() as tx:
            rows = (await tx.execute(query)).mappings().all()
        return [AdminAction(**{name: value for name, value in row.items() if name != "id"}) for row in rows]

    async def keep_letter(self, letter: KeptLetter) -> None:
        await self._add(LetterRow, asdict(letter))

    async def letters(self, limit: int) -> Sequence[KeptLetter]:
        query = select(LetterRow).order_by(col(LetterRow.at).desc()).limit(limit)
        async with self._database.statement() as tx:
            return [KeptLetter(**row) for row in (await tx.execute(query)).mappings().all()]

    async def _add(self, table: type[SQLModel], row: dict[str, object]) -> None:
        async with self._database.statement() as tx:
            await tx.execute(insert(table).on_conflict_do_nothing(), row)
