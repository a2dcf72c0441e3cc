import type { Payload, PayloadRequest } from 'payload'

import type { Id, TaskDocument } from '../documents.ts'
import { QUEUE } from '../options.ts'

export const CONNECT = 'mediaTasksConnect'
export const PUBLISH = 'mediaTasksPublish'
export const CANCEL = 'mediaTasksCancel'
export const IMPORT = 'mediaTasksImport'
export const RECONCILE = 'mediaTasksReconcile'

/** Jobs queued with the request are kept or forgotten with what it saves: an outbox. */

export async function queueConnect(payload: Payload, project: Id, req?: PayloadRequest): Promise<void> {
  await queue(payload, CONNECT, { project: String(project) }, req)
}

export async function queuePublish(payload: Payload, task: Id, req?: PayloadRequest): Promise<void> {
  await queue(payload, PUBLISH, { task: String(task), traceparent: traceOf(req) }, req)
}

/** Says everything itself, because the document may be gone by the time the job runs. */
export async function queueCancel(
  payload: Payload,
  task: Pick<TaskDocument, 'project' | 'taskId'>,
  req?: PayloadRequest,
): Promise<void> {
  await queue(payload, CANCEL, { project: String(task.project), taskId: task.taskId }, req)
}

export async function queueImport(payload: Payload, task: Id, req?: PayloadRequest): Promise<void> {
  await queue(payload, IMPORT, { task: String(task) }, req)
}

async function queue(
  payload: Payload,
  task: string,
  input: Record<string, string | undefined>,
  req?: PayloadRequest,
): Promise<void> {
  await payload.jobs.queue({ task, input, queue: QUEUE, req })
}

const TRACE_PARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

function traceOf(req?: PayloadRequest): string | undefined {
  const given = req?.headers.get('traceparent')
  return given && TRACE_PARENT.test(given) ? given : undefined
}
