import { paramsOf } from '../catalog/checking.ts'
import type { ProjectDocument, TaskFields, TaskReminder, TaskRequest } from '../documents.ts'
import { newRequestId, taskIdFor } from '../identifiers.ts'

/** A document's life from its beginning: what will be asked, under which id, and that nothing was heard yet. */
export function newLife(fields: TaskFields, project: ProjectDocument): Record<string, unknown> {
  const requestId = newRequestId()
  return {
    ...NOTHING_HEARD,
    requestId,
    taskId: taskIdFor(project.serviceProject, requestId),
    request: requestOf(fields, project.serviceProject, requestId),
    heardAt: new Date().toISOString(),
  }
}

const NOTHING_HEARD = {
  status: 'waiting',
  phase: null,
  progress: null,
  step: null,
  steps: null,
  etaSeconds: null,
  error: { title: null, detail: null, code: null },
  results: [],
  resultMedia: null,
  importError: null,
  estimate: { p50At: null, p90At: null },
  deadline: null,
  reminded: [],
  seq: 0,
  attempt: null,
  cancelRequested: false,
}

function requestOf(fields: TaskFields, serviceProject: string, requestId: string): TaskRequest {
  return {
    project_id: serviceProject,
    model: fields.model,
    params: paramsOf(fields),
    priority: fields.priority ?? 'medium',
    tags: fields.tags ?? [],
    ...(fields.title ? { title: fields.title } : {}),
    ...(fields.startAt ? { start_at: inFull(fields.startAt) } : {}),
    ...(fields.dueAt ? { due_at: inFull(fields.dueAt) } : {}),
    ...(fields.expiresAt ? { expires_at: inFull(fields.expiresAt) } : {}),
    ...(fields.reminders?.length ? { reminders: fields.reminders.map(reminderOf) } : {}),
    client_ref: requestId,
  }
}

const inFull = (moment: string) => new Date(moment).toISOString()

function reminderOf({ at, minutesBeforeDue, note }: TaskReminder): NonNullable<TaskRequest['reminders']>[number] {
  return {
    ...(at ? { at: inFull(at) } : { before_due_seconds: Math.round((minutesBeforeDue ?? 0) * 60) }),
    ...(note ? { note } : {}),
  }
}

const MOMENTS = ['startAt', 'dueAt', 'expiresAt'] as const
const FIXED = ['medium', 'model', 'prompt', 'params', 'inputs', 'priority', 'tags', 'reminders', ...MOMENTS] as const

/** Which of what was asked a change would make different. */
export function changedFields(before: TaskFields, after: TaskFields): string[] {
  return FIXED.filter((name) => plain(name, before) !== plain(name, after))
}

function plain(name: (typeof FIXED)[number], fields: TaskFields): string {
  if (name === 'inputs') return JSON.stringify((fields.inputs ?? []).map((input) => [input.name, input.media]))
  const moment = MOMENTS.find((one) => one === name)
  if (moment) return fields[moment] ? inFull(fields[moment]) : ''
  if (name === 'reminders') return JSON.stringify((fields.reminders ?? []).map(reminderOf))
  const value = fields[name] ?? null
  if (value === null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0)) return ''
  return JSON.stringify(value, (_key, inner: unknown) => sorted(inner))
}

/** Databases give the keys of JSON back in an order of their own. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
