import type { Medium, Status } from '../vocabulary.ts'
import type { Reminded } from '../documents.ts'
import type { PanelTask, TaskResult } from './task.ts'

/** What the panel says. */

export const STATUS_LABELS: Record<Status, string> = {
  waiting: 'Waiting',
  pending: 'Pending',
  processing: 'Processing',
  done: 'Done',
  failed: 'Failed',
  cancelled: 'Cancelled',
  expired: 'Expired',
  rejected: 'Rejected',
  unpublished: 'Not sent',
}

export const MEDIUM_LABELS: Record<Medium, string> = { image: 'Images', video: 'Videos', audio: 'Sounds' }

const PHASES: Record<string, string> = {
  queued: 'In the queue for a free worker',
  assigned: 'Given to a worker, which is about to begin',
  blocked: 'Waits for the results of other tasks',
  scheduled: 'Waits for the time it is to start at',
  retry_wait: 'An attempt failed; the next one begins soon',
  loading_model: 'The worker loads the model',
  generating: 'Generating',
  encoding: 'Writing the file',
  storing: 'Checking the result and storing it',
}

/** What is happening right now, for somebody who knows nothing of workers and queues. */
export function phaseInWords(task: PanelTask): string {
  if (task.cancelRequested && (task.status === 'pending' || task.status === 'processing')) {
    return 'Cancelling: stops at the next step'
  }
  switch (task.status) {
    case 'waiting':
      return 'Saved, and on its way to Movie Tasks'
    case 'pending':
    case 'processing':
      return PHASES[task.phase ?? ''] ?? 'Movie Tasks is at work'
    case 'done':
      return 'The result is ready'
    case 'failed':
      return 'All attempts have failed'
    case 'cancelled':
      return task.phase === 'skipped' ? 'Left out before it could start' : 'Stopped on request'
    case 'expired':
      return 'Not started in time'
    case 'rejected':
      return 'Movie Tasks does not take this request'
    case 'unpublished':
      return 'The request has not reached Movie Tasks'
  }
}

/** What an editor can do about how it ended. */
export function advice(task: PanelTask): string | undefined {
  switch (task.status) {
    case 'rejected':
      return 'Change what is named above and save. Retry then sends the request again.'
    case 'unpublished':
      return 'Nothing is lost. Retry sends the request again; if it goes on failing, an administrator has to look at the connection.'
    case 'failed':
      return 'Retry runs it once more as it is. Duplicate makes a copy that can be changed.'
    case 'expired':
      return 'Retry asks for it again. A higher priority, or a later moment to give up, lets it begin in time.'
    case 'cancelled':
      return 'Retry begins it again.'
    default:
      return undefined
  }
}

/** When an open task will probably be done, and what becomes of its deadline. */
export function outlookInWords(task: PanelTask, now = new Date()): string | undefined {
  if (task.status !== 'pending' && task.status !== 'processing') return undefined
  const said: string[] = []
  if (task.phase === 'scheduled' && task.startAt) said.push(`Starts ${momentInWords(task.startAt, now)}.`)
  const { p50At, p90At } = task.estimate ?? {}
  if (p50At && p90At) {
    said.push(`Probably done ${momentInWords(p50At, now)}, almost certainly ${momentInWords(p90At, now)}.`)
  }
  if (task.deadline === 'unlikely') said.push('The deadline will probably be missed.')
  if (task.deadline === 'at_risk') said.push('The deadline is at risk.')
  return said.length > 0 ? said.join(' ') : undefined
}

export function reminderInWords({ at, note, lateSeconds }: Reminded, now = new Date()): string {
  const late = lateSeconds ? ` (told ${secondsInWords(lateSeconds)} late)` : ''
  return `Reminder ${momentInWords(at, now)}${late}${note ? `: ${note}` : ''}`
}

/** The time of day, and the day unless it is today. */
function momentInWords(moment: string, now: Date): string {
  const at = new Date(moment)
  const time = at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
  return at.toDateString() === now.toDateString() ? `at ${time}` : `on ${at.toLocaleDateString()} at ${time}`
}

/** Percent, where a task has got far enough to say. */
export function percentOf(task: PanelTask): number | undefined {
  if (task.status !== 'processing' || typeof task.progress !== 'number') return undefined
  return Math.min(100, Math.max(0, Math.round(task.progress)))
}

export function stepsInWords(task: PanelTask): string | undefined {
  if (task.status !== 'processing' || !task.steps) return undefined
  const steps = `Step ${task.step ?? 0} of ${task.steps}`
  return typeof task.etaSeconds === 'number' ? `${steps}, about ${secondsInWords(task.etaSeconds)} left` : steps
}

export function secondsInWords(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export function bytesInWords(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 'B'
  for (const next of units) {
    if (value < 999.5) break
    value /= 1000
    unit = next
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`
}

export function factsOf(result: TaskResult): [name: string, value: string][] {
  const facts: [string, string][] = []
  if (result.width && result.height) facts.push(['Resolution', `${result.width} × ${result.height}`])
  if (result.duration) facts.push(['Duration', `${Number(result.duration.toFixed(2))} s`])
  if (result.size) facts.push(['Size', bytesInWords(result.size)])
  facts.push(['Type', result.contentType])
  return facts
}

/** What the picture is that is shown before there is a result. */
export function previewInWords({ medium }: Pick<PanelTask, 'medium'>): string {
  return medium === 'video' ? 'Preview: a frame from the middle of the clip, so far' : 'Preview: the picture so far'
}

/** What a list shows of a task without a title. */
export function titleOf(task: Pick<PanelTask, 'title' | 'prompt' | 'id'>): string {
  const named = [task.title, task.prompt].map((text) => text?.trim()).find((text) => text)
  return named ?? `Task ${task.id}`
}
