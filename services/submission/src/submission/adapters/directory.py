"""The operator's lists."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from chassis.database import Database, insert
from sqlalchemy import ColumnElement, select, update
from sqlmodel import SQLModel, col

from submission.adapters.tables import ActionRow, ApiKeyRow, LetterRow, ProjectRow
from submission.ports import AdminAction, KeptLetter, LetterFilter


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
        return [
            AdminAction(
                **{name: value for name, value in row.items() if name != "id"} | {"operator": row["operator"] or ""}
            )
            for row in rows
        ]

    async def keep_letter(self, letter: KeptLetter) -> None:
        await self._add(LetterRow, asdict(letter))

    async def letters(self, limit: int, wanted: LetterFilter) -> Sequence[KeptLetter]:
        query = select(LetterRow).where(*_of_letters(wanted)).order_by(col(LetterRow.at).desc()).limit(limit)
        async with self._database.statement() as tx:
            return [KeptLetter(**row) for row in (await tx.execute(query)).mappings().all()]

    async def letter(self, letter_id: str) -> KeptLetter | None:
        async with self._database.statement() as tx:
            row = (await tx.execute(select(LetterRow).where(col(LetterRow.id) == letter_id))).mappings().first()
        return KeptLetter(**row) if row is not None else None

    async def mark_redriven(self, letter_id: str, at: datetime, by: str, again: bool) -> bool:
        marked = update(LetterRow).where(col(LetterRow.id) == letter_id).values(redriven_at=at, redriven_by=by)
        if not again:
            marked = marked.where(col(LetterRow.redriven_at).is_(None))
        async with self._database.statement() as tx:
            return bool((await tx.execute(marked)).rowcount)

    async def unmark_redriven(self, before: KeptLetter) -> None:
        as_before = {"redriven_at": before.redriven_at, "redriven_by": before.redriven_by}
        async with self._database.statement() as tx:
            await tx.execute(update(LetterRow).where(col(LetterRow.id) == before.id).values(as_before))

    async def _add(self, table: type[SQLModel], row: dict[str, object]) -> None:
        async with self._database.statement() as tx:
            await tx.execute(insert(table).on_conflict_do_nothing(), row)


def _of_letters(wanted: LetterFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.app is not None:
        found.append(col(LetterRow.app) == wanted.app)
    if wanted.topic is not None:
        found.append(col(LetterRow.topic) == wanted.topic)
    if wanted.redriven is not None:
        found.append(
            col(LetterRow.redriven_at).is_not(None) if wanted.redriven else col(LetterRow.redriven_at).is_(None)
        )
    return found
