import type { TaskDocument } from '../documents.ts'
import { inWords, readProblem } from '../service/problems.ts'
import type { MediaView, Rejection, TaskView } from '../service/views.ts'
import { isOpen } from '../vocabulary.ts'

/** What a view makes of a document, or undefined where the document knows it already: the higher `seq` decides. */
export function applied(task: TaskDocument, view: TaskView): Record<string, unknown> | undefined {
  if (view.id !== task.taskId || view.seq <= task.seq) return undefined
  return {
    status: view.status,
    phase: view.phase,
    seq: view.seq,
    attempt: view.attempt,
    ...progressOf(task, view),
    error: errorOf(view.error),
    results: view.result ? [resultOf(view.result)] : [],
    cancelRequested: isOpen(view.status) && (view.cancel_requested === true || cancelledUnheard(task)),
    ...(view.priority ? { priority: view.priority } : {}),
    ...(view.estimate !== undefined ? estimateOf(view) : {}),
    // Not known yet, should nobody have had a catalog when it was saved.
    ...(view.medium ? { medium: view.medium } : {}),
  }
}

/** Cancelled before the service had said that it knows the task. */
export function cancelledUnheard(task: TaskDocument): boolean {
  return task.seq === 0 && task.cancelRequested === true
}

/** A refusal counts only where nothing else was heard: whatever was accepted under the same id exists. */
export function rejected(task: TaskDocument, rejection: Rejection): Record<string, unknown> | undefined {
  if (task.seq > 0 || task.requestId !== rejection.request_id) return undefined
  if (task.status !== 'waiting' && task.status !== 'unpublished') return undefined
  const problem = readProblem(rejection.problem)
  return refusal(problem.title, inWords(problem), problem.code)
}

export function refusal(title: string, detail: string, code: string): Record<string, unknown> {
  return { status: 'rejected', phase: null, error: { title, detail, code } }
}

function progressOf(task: TaskDocument, view: TaskView): Record<string, unknown> {
  if (view.status === 'done') return { progress: 100, step: null, steps: null, etaSeconds: null }
  const sameAttempt = task.attempt === view.attempt
  const before = sameAttempt ? (task.progress ?? 0) : 0
  const now = Math.round((view.progress?.fraction ?? 0) * 100)
  return {
    progress: Math.min(100, Math.max(before, now)),
    step: view.progress?.step ?? null,
    steps: view.progress?.total ?? null,
    etaSeconds: view.progress?.eta_seconds ?? null,
  }
}

function estimateOf({ estimate, deadline }: TaskView): Record<string, unknown> {
  return {
    estimate: { p50At: estimate?.p50_at ?? null, p90At: estimate?.p90_at ?? null },
    deadline: deadline ?? null,
  }
}

function errorOf(error: TaskView['error']): Record<string, string | null> {
  const text = (value: unknown) => (typeof value === 'string' ? value.slice(0, 5000) : null)
  return { title: text(error?.title), detail: text(error?.detail), code: text(error?.code) }
}

function resultOf(media: MediaView): Record<string, unknown> {
  return {
    mediaId: media.id,
    contentType: media.content_type,
    size: media.size,
    width: media.width ?? null,
    height: media.height ?? null,
    duration: media.duration_seconds ?? null,
    hasThumbnail: Boolean(media.thumbnail_url),
  }
}
