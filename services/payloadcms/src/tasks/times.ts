import type { FieldError } from '../catalog/checking.ts'
import type { TaskFields, TaskReminder } from '../documents.ts'

/** In which the times of a request do not fit each other. The service has the last word; this one comes at once. */
export function checkTimes(fields: TaskFields, now: Date): FieldError[] {
  const start = Math.max(now.getTime(), momentOf(fields.startAt) ?? 0)
  const due = momentOf(fields.dueAt)
  const expires = momentOf(fields.expiresAt)
  const errors: FieldError[] = []
  if (due !== undefined && due <= start) {
    errors.push({ path: 'dueAt', message: 'Must be after the task may start, or nothing could meet it.' })
  }
  if (fields.startAt && expires !== undefined && expires <= start) {
    errors.push({ path: 'expiresAt', message: 'Must be after the task may start.' })
  }
  fields.reminders?.forEach((reminder, index) => {
    const message = checkReminder(reminder, due, now.getTime())
    if (message) errors.push({ path: `reminders.${index}.at`, message })
  })
  return errors
}

function checkReminder(
  { at, minutesBeforeDue }: TaskReminder,
  due: number | undefined,
  now: number,
): string | undefined {
  const before = typeof minutesBeforeDue === 'number'
  if (Boolean(at) === before) return 'Say either when, or how many minutes before the deadline.'
  if (before && due === undefined) return 'There is no deadline to count back from.'
  const moment = before ? (due ?? 0) - minutesBeforeDue * 60_000 : (momentOf(at) ?? 0)
  return moment <= now ? 'That moment has passed.' : undefined
}

function momentOf(text: string | null | undefined): number | undefined {
  const moment = text ? Date.parse(text) : NaN
  return Number.isNaN(moment) ? undefined : moment
}
