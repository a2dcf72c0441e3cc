import type { Id, Reminded, TaskDocument } from '../documents.ts'
import { idOf } from '../documents.ts'
import { STATUSES, type Medium, type Priority, type Status } from '../vocabulary.ts'

/** A task's document as the admin panel reads it. Imports nothing that a browser has not. */

export interface TaskResult {
  mediaId: string
  contentType: string
  size?: number | null
  width?: number | null
  height?: number | null
  /** In seconds. */
  duration?: number | null
  hasThumbnail?: boolean | null
}

export interface PanelTask {
  id: Id
  project?: Id
  title?: string | null
  prompt?: string | null
  medium?: Medium | null
  priority?: Priority | null
  status: Status
  phase?: string | null
  progress?: number | null
  step?: number | null
  steps?: number | null
  etaSeconds?: number | null
  startAt?: string | null
  dueAt?: string | null
  estimate?: { p50At?: string | null; p90At?: string | null } | null
  deadline?: string | null
  reminded?: Reminded[] | null
  error?: TaskDocument['error']
  results: TaskResult[]
  importError?: string | null
  taskId?: string
  requestId?: string
  seq: number
  attempt?: number | null
  cancelRequested?: boolean | null
  updatedAt?: string
  /** Where the newest picture of a run can be had within a minute. The live feed tells of it, and no document. */
  preview?: string
}

/** Undefined for what is no saved task, such as the form of a new one. */
export function readTask(document: unknown): PanelTask | undefined {
  if (typeof document !== 'object' || document === null) return undefined
  const { id, status, project, results, seq, ...rest } = document as Record<string, unknown>
  if (typeof id !== 'string' && typeof id !== 'number') return undefined
  const known = STATUSES.find((one) => one === status)
  if (!known) return undefined
  return {
    ...(rest as Partial<PanelTask>),
    id,
    status: known,
    project: idOf(project),
    results: Array.isArray(results) ? (results as TaskResult[]) : [],
    seq: typeof seq === 'number' ? seq : 0,
    preview: undefined,
  }
}
