import { SERVICE_STATUSES, type Medium, type Priority } from '../vocabulary.ts'

/** The service's views, as far as they are read here. */

export interface MediaView {
  id: string
  content_type: string
  size: number
  width?: number | null
  height?: number | null
  duration_seconds?: number | null
  thumbnail_url?: string | null
}

export interface TaskView {
  id: string
  project_id: string
  seq: number
  status: (typeof SERVICE_STATUSES)[number]
  phase: string
  attempt: number
  progress?: { step: number; total: number; fraction: number; eta_seconds?: number | null } | null
  cancel_requested?: boolean
  priority?: Priority
  medium?: Medium
  client_ref?: string | null
  result?: MediaView | null
  error?: { title?: string; detail?: string; code?: string } | null
  created_at?: string
  estimate?: { p50_at: string; p90_at: string } | null
  deadline?: 'likely' | 'at_risk' | 'unlikely' | null
}

/** A task's project is reminded of it. */
export interface Reminder {
  task_id: string
  project_id: string
  client_ref?: string | null
  at: string
  note?: string | null
  late_seconds?: number | null
}

export const REMINDER = 'task.reminder.v1'

export interface Rejection {
  request_id: string
  project_id: string
  client_ref?: string | null
  problem: unknown
}

export interface EndpointView {
  id: string
  url: string
  events: string[]
  enabled: boolean
  created_at: string
}

export interface MediaLink {
  url: string
  thumbnail_url?: string | null
}

export function isTaskView(found: unknown): found is TaskView {
  if (typeof found !== 'object' || found === null) return false
  const { id, project_id, seq, status, phase, attempt } = found as Record<string, unknown>
  return (
    typeof id === 'string' &&
    typeof project_id === 'string' &&
    Number.isSafeInteger(seq) &&
    SERVICE_STATUSES.some((one) => one === status) &&
    typeof phase === 'string' &&
    typeof attempt === 'number'
  )
}

export function isReminder(found: unknown): found is Reminder {
  if (typeof found !== 'object' || found === null) return false
  const { task_id, project_id, at } = found as Record<string, unknown>
  const named = typeof task_id === 'string' && typeof project_id === 'string'
  return named && typeof at === 'string' && !Number.isNaN(Date.parse(at))
}

export function isRejection(found: unknown): found is Rejection {
  if (typeof found !== 'object' || found === null) return false
  const { request_id, project_id, problem } = found as Record<string, unknown>
  return typeof request_id === 'string' && typeof project_id === 'string' && typeof problem === 'object'
}
