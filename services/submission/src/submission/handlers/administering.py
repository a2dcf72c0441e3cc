"""What an operator does: projects, keys, and a look at what happened. Every change is written down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts.errors import NotFound
from contracts.ports import Clock
from contracts.projects import ApiKey, Project, digest_of, key_text
from contracts.records import Records
from pydantic import BaseModel, JsonValue

from submission.ports import AdminAction, Directory


@dataclass(frozen=True)
class Operator:
    """Who acts: where the request came from, and what ties it to the logs."""

    address: str
    correlation_id: str


@dataclass(frozen=True)
class Administration:
    projects: Records[Project]
    keys: Records[ApiKey]
    directory: Directory
    clock: Clock
    new_key_id: Callable[[], str]
    new_secret: Callable[[], str]

    async def create_project(self, project_id: str, name: str, operator: Operator) -> Project:
        """Raises `AlreadyExists`."""
        project = Project(id=project_id, name=name, created_at=self.clock.now())
        await self.directory.list_project(project_id)
        await self.projects.create(project_id, project)
        await self._note("project.create", project_id, None, project, operator)
        return project

    async def set_active(self, project_id: str, active: bool, operator: Operator) -> Project:
        """Raises `NotFound`."""
        before = await self._project(project_id)
        project = await self.projects.change(
            project_id, lambda found: found if found.active == active else found.model_copy(update={"active": active})
        )
        await self._note("project.activate" if active else "project.suspend", project_id, before, project, operator)
        return project

    async def list_projects(self) -> Sequence[Project]:
        found = [await self.projects.get(project_id) for project_id in await self.directory.project_ids()]
        return [project for project in found if project is not None]

    async def create_key(
        self, project_id: str, label: str, expires_at: datetime | None, operator: Operator
    ) -> tuple[ApiKey, str]:
        """The key, and its text, which nobody can show again. Raises `NotFound`."""
        await self._project(project_id)
        secret = self.new_secret()
        key = ApiKey(
            id=self.new_key_id(),
            project_id=project_id,
            label=label,
            digest=digest_of(secret),
            created_at=self.clock.now(),
            expires_at=expires_at,
        )
        await self.directory.list_key(project_id, key.id)
        await self.keys.create(key.id, key)
        await self._note("key.create", key.id, None, key, operator)
        return key, key_text(key.id, secret)

    async def list_keys(self, project_id: str) -> Sequence[ApiKey]:
        """Raises `NotFound`."""
        await self._project(project_id)
        found = [await self.keys.get(key_id) for key_id in await self.directory.key_ids(project_id)]
        return [key for key in found if key is not None]

    async def revoke_key(self, project_id: str, key_id: str, operator: Operator) -> ApiKey:
        """Raises `NotFound`."""
        now = self.clock.now()

        def revoked(key: ApiKey) -> ApiKey:
            if key.project_id != project_id:
                raise NotFound(f"no key {key_id} in project {project_id}")
            return key if key.revoked_at else key.model_copy(update={"revoked_at": now})

        before = await self.keys.get(key_id)
        key = await self.keys.change(key_id, revoked)
        await self._note("key.revoke", key_id, before, key, operator)
        return key

    async def _project(self, project_id: str) -> Project:
        project = await self.projects.get(project_id)
        if project is None:
            raise NotFound(f"no project {project_id}")
        return project

    async def _note(
        self, action: str, target: str, before: BaseModel | None, after: BaseModel, operator: Operator
    ) -> None:
        await self.directory.note(
            AdminAction(
                at=self.clock.now(),
                action=action,
                target=target,
                before=_shown(before),
                after=_shown(after),
                address=operator.address,
                correlation_id=operator.correlation_id,
            )
        )


def _shown(document: BaseModel | None) -> JsonValue:
    """The document without what could help to guess a key."""
    return document.model_dump(mode="json", exclude={"digest"}) if document is not None else None
