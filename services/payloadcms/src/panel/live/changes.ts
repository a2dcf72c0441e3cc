import type { TaskDocument } from '../../documents.ts'
import { isRejection, isTaskView, type TaskView } from '../../service/views.ts'
import { applied, rejected } from '../../tasks/applying.ts'
import { isOpen } from '../../vocabulary.ts'
import { previewAddress } from '../preview.ts'
import type { PanelTask } from '../task.ts'

/** What an event of the live feed makes of a task that a page shows: the same as its webhook makes of the document. */

export interface Progressed {
  task_id: string
  attempt: number
  phase: string
  progress: NonNullable<TaskView['progress']>
  preview_url?: unknown
}

/** By which of a document's two ids an event can be told to be about it. */
export function subjectOf(data: unknown): { taskId?: string; requestId?: string } {
  if (isTaskView(data)) return { taskId: data.id }
  if (isRejection(data)) return { requestId: data.request_id }
  return isProgressed(data) ? { taskId: data.task_id } : {}
}

/** The task as it is after the event of a feed from `origin`; undefined where it says nothing new. */
export function changedBy(task: PanelTask, data: unknown, origin: string): PanelTask | undefined {
  if (isProgressed(data)) return further(task, data, origin)
  // At depth 0 a document is all that these two want, and what is hidden of it they do not read.
  const document = task as unknown as TaskDocument
  const change = isTaskView(data) ? applied(document, data) : isRejection(data) ? rejected(document, data) : undefined
  // A result is fetched by its document, which has it only once the webhook is there.
  return change && withPreviewOf(task, { ...task, ...change, results: [] })
}

/** Of two states of one task the later one; what an editor wrote is always taken from `fresh`. */
export function later(known: PanelTask, fresh: PanelTask): PanelTask {
  if (known.taskId !== fresh.taskId) return fresh
  if (fresh.seq > known.seq) {
    return withPreviewOf(known, isFurther(known, fresh) ? { ...fresh, ...progressOf(known) } : fresh)
  }
  // The life of a document that was never heard of changes without a number.
  if (fresh.seq === known.seq && (fresh.seq === 0 || fresh.status !== known.status)) {
    return (fresh.updatedAt ?? '') > (known.updatedAt ?? '') ? fresh : { ...fresh, ...lifeOf(known) }
  }
  return { ...fresh, ...lifeOf(known), results: fresh.results.length > 0 ? fresh.results : known.results }
}

/** What is told of progress is in no document. */
function isFurther(known: PanelTask, fresh: PanelTask): boolean {
  return isSameRun(known, fresh) && (known.progress ?? 0) > (fresh.progress ?? 0)
}

function isSameRun(known: PanelTask, fresh: PanelTask): boolean {
  return fresh.status === 'processing' && fresh.attempt === known.attempt
}

function withPreviewOf(known: PanelTask, fresh: PanelTask): PanelTask {
  return { ...fresh, preview: isSameRun(known, fresh) ? known.preview : undefined }
}

function progressOf({ progress, step, steps, etaSeconds }: PanelTask): Partial<PanelTask> {
  return { progress, step, steps, etaSeconds }
}

function lifeOf(task: PanelTask): Partial<PanelTask> {
  const { status, phase, error, seq, attempt, cancelRequested, estimate, deadline, preview } = task
  return { ...progressOf(task), status, phase, error, seq, attempt, cancelRequested, estimate, deadline, preview }
}

function further(task: PanelTask, progressed: Progressed, origin: string): PanelTask | undefined {
  const { attempt, phase, progress } = progressed
  if (!isOpen(task.status) || attempt < (task.attempt ?? 0)) return undefined
  const before = attempt === task.attempt ? (task.progress ?? 0) : 0
  const now = Math.round(progress.fraction * 100)
  if (task.status === 'processing' && now < before) return undefined
  return {
    ...task,
    status: 'processing',
    phase,
    attempt,
    progress: now,
    step: progress.step,
    steps: progress.total,
    etaSeconds: progress.eta_seconds ?? null,
    preview:
      previewAddress(progressed.preview_url, progressed.task_id, origin) ??
      (attempt === task.attempt ? task.preview : undefined),
  }
}

function isProgressed(data: unknown): data is Progressed {
  if (typeof data !== 'object' || data === null) return false
  const { task_id, attempt, phase, progress } = data as Record<string, unknown>
  return (
    typeof task_id === 'string' &&
    typeof attempt === 'number' &&
    typeof phase === 'string' &&
    typeof (progress as Partial<Progressed['progress']> | null)?.fraction === 'number'
  )
}
