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

/** `trace` is the W3C `traceparent` of the span in which it is asked for. */
export async function queuePublish(payload: Payload, task: Id, req?: PayloadRequest, trace?: string): Promise<void> {
  await queue(payload, PUBLISH, { task: String(task), traceparent: trace }, req)
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
