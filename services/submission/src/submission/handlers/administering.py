"""What an operator does: projects, keys, and a look at what happened. Every change is written down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.budgets import Budget
from contracts.errors import InvalidRequest, NotFound
from contracts.operators import Operator
from contracts.ports import Clock
from contracts.projects import ApiKey, Project, digest_of, key_text
from contracts.records import Records

from submission.handlers.auditing import Audit
from submission.ports import Directory


@dataclass(frozen=True)
class Administration:
    projects: Records[Project]
    keys: Records[ApiKey]
    directory: Directory
    audit: Audit
    clock: Clock
    new_key_id: Callable[[], str]
    new_secret: Callable[[], str]

    async def create_project(self, project_id: str, name: str, operator: Operator) -> Project:
        """Raises `AlreadyExists`."""
        project = Project(id=project_id, name=name, created_at=self.clock.now())
        await self.directory.list_project(project_id)
        await self.projects.create(project_id, project)
        await self.audit.note("project.create", project_id, None, project, operator)
        return project

    async def set_active(self, project_id: str, active: bool, operator: Operator) -> Project:
        """Raises `NotFound`."""
        before = await self._project(project_id)
        project = await self.projects.change(
            project_id, lambda found: found if found.active == active else found.model_copy(update={"active": active})
        )
        await self.audit.note(
            "project.activate" if active else "project.suspend", project_id, before, project, operator
        )
        return project

    async def set_budget(self, project_id: str, budget: Budget | None, operator: Operator) -> Project:
        """None takes it away. Raises `NotFound`."""
        now, before = self.clock.now(), await self._project(project_id)
        changed = {"budget": budget, "budget_since": now}
        project = await self.projects.change(
            project_id, lambda found: found if found.budget == budget else found.model_copy(update=changed)
        )
        await self.audit.note("project.budget", project_id, before, project, operator)
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
        await self.audit.note("key.create", key.id, None, key, operator)
        return key, key_text(key.id, secret)

    async def rotate_key(
        self, project_id: str, key_id: str, grace: timedelta, operator: Operator
    ) -> tuple[ApiKey, str]:
        """A new key in place of one, which goes on working for the grace time and then expires by itself.

        The new one is there before the old one's end is set: whoever dies in between leaves two that work. Raises
        `NotFound`, and `InvalidRequest` for a key that works no more.
        """
        now = self.clock.now()
        before = await self._key(project_id, key_id)
        if not before.valid_at(now):
            raise InvalidRequest(f"key {key_id} works no more; issue a new one instead")
        issued, text = await self.create_key(project_id, before.label, None, operator)
        end = now + grace
        after = await self.keys.change(
            key_id,
            lambda key: key if key.expires_at and key.expires_at <= end else key.model_copy(update={"expires_at": end}),
        )
        await self.audit.note("key.rotate", key_id, before, after, operator)
        return issued, text

    async def list_keys(self, project_id: str) -> Sequence[ApiKey]:
        """Raises `NotFound`."""
        await self._project(project_id)
        found = [await self.keys.get(key_id) for key_id in await self.directory.key_ids(project_id)]
        return [key for key in found if key is not None]

    async def revoke_key(self, project_id: str, key_id: str, operator: Operator) -> ApiKey:
        """Raises `NotFound`."""
        now = self.clock.now()

        before = await self._key(project_id, key_id)
        key = await self.keys.change(
            key_id, lambda found: found if found.revoked_at else found.model_copy(update={"revoked_at": now})
        )
        await self.audit.note("key.revoke", key_id, before, key, operator)
        return key

    async def _key(self, project_id: str, key_id: str) -> ApiKey:
        key = await self.keys.get(key_id)
        if key is None or key.project_id != project_id:
            raise NotFound(f"no key {key_id} in project {project_id}")
        return key

    async def _project(self, project_id: str) -> Project:
        project = await self.projects.get(project_id)
        if project is None:
            raise NotFound(f"no project {project_id}")
        return project
