import type { Medium, Priority, Status, ConnectionState } from './vocabulary.ts'

/** Documents as the plugin's own code reads them, at depth 0. */

export type Id = number | string

export interface ProjectDocument {
  id: Id
  name: string
  serviceProject: string
  members?: Id[] | null
  encryptedKey?: string | null
  connection?: {
    state?: ConnectionState | null
    detail?: string | null
    checkedAt?: string | null
    endpointId?: string | null
    encryptedSecrets?: string | null
  }
}

export interface TaskInput {
  name: string
  media: Id
}

export interface TaskError {
  title?: string | null
  detail?: string | null
  code?: string | null
}

/** What an editor asks for. */
export interface TaskFields {
  project: Id
  title?: string | null
  medium?: Medium | null
  model: string
  prompt?: string | null
  params?: Record<string, unknown> | null
  inputs?: TaskInput[] | null
  priority?: Priority | null
  tags?: string[] | null
  startAt?: string | null
  dueAt?: string | null
  expiresAt?: string | null
  reminders?: TaskReminder[] | null
}

/** When to be told of a task that has not ended: at a moment, or so long before it is due. */
export interface TaskReminder {
  at?: string | null
  minutesBeforeDue?: number | null
  note?: string | null
}

/** A reminder that has come. */
export interface Reminded {
  at: string
  note?: string | null
  lateSeconds?: number | null
}

/** What is asked of the service, fixed when the document is saved: a repetition must say the same. */
export interface TaskRequest {
  project_id: string
  model: string
  params: Record<string, unknown>
  priority: Priority
  tags: string[]
  title?: string
  client_ref: string
  start_at?: string
  due_at?: string
  expires_at?: string
  reminders?: { at?: string; before_due_seconds?: number; note?: string }[]
}

export interface TaskDocument extends TaskFields {
  id: Id
  status: Status
  phase?: string | null
  progress?: number | null
  error?: TaskError | null
  taskId: string
  seq: number
  attempt?: number | null
  results?: { mediaId: string; contentType: string }[] | null
  resultMedia?: Id | null
  importError?: string | null
  reminded?: Reminded[] | null
  requestId: string
  request: TaskRequest
  heardAt?: string | null
  cancelRequested?: boolean | null
  createdAt: string
}

export interface EventDocument {
  id: Id
  key: string
  requestId: string
  type: string
  seq: number
  body?: unknown
}

/** The id of a relationship, whether it came populated or not. */
export function idOf(related: unknown): Id | undefined {
  const id = typeof related === 'object' && related !== null && 'id' in related ? related.id : related
  return typeof id === 'string' || typeof id === 'number' ? id : undefined
}
