import { ValidationError, type Payload, type PayloadRequest } from 'payload'

import { changeTask, findTask, type Plugin } from '../context.ts'
import type { EventDocument, Id, TaskDocument } from '../documents.ts'
import { isRejection, isReminder, isTaskView, REMINDER, type TaskView } from '../service/views.ts'
import { isOpen, MOST_REMINDERS, type Status } from '../vocabulary.ts'
import { queueCancel, queueImport } from '../jobs/queueing.ts'
import { applied, cancelledUnheard, rejected } from './applying.ts'

/**
 * What is heard of a task is written down first and applied second, and whoever has applied looks whether somebody
 * has written down something newer meanwhile. So of two deliveries at once, at two replicas even, the newer one
 * stays, although Payload cannot compare and set.
 */

const LEFT = 'request.left'

export interface Heard {
  /** Unique: hearing it again changes nothing. */
  key: string
  requestId: string
  type: string
  seq: number
  body?: unknown
}

/** Whether it is new. */
export async function writeDown(
  plugin: Plugin,
  payload: Payload,
  heard: Heard,
  req?: PayloadRequest,
): Promise<boolean> {
  const collection = plugin.settings.slugs.events
  const known = { collection, where: { key: { equals: heard.key } }, overrideAccess: true, req } as const
  if ((await payload.count(known)).totalDocs > 0) return false
  try {
    await payload.create({ collection, data: heard, overrideAccess: true, req })
    return true
  } catch (error) {
    // The unique key: another copy came in between.
    if (error instanceof ValidationError && (await payload.count(known)).totalDocs > 0) return false
    throw error
  }
}

export async function wasLeft(plugin: Plugin, payload: Payload, requestId: string): Promise<boolean> {
  const found = await payload.count({
    collection: plugin.settings.slugs.events,
    where: { key: { equals: leftKey(requestId) } },
    overrideAccess: true,
  })
  return found.totalDocs > 0
}

/** Nobody waits for this request any more: its document is deleted, or asks under another id. */
export async function leaveRequest(
  plugin: Plugin,
  payload: Payload,
  requestId: string,
  req?: PayloadRequest,
): Promise<void> {
  await writeDown(plugin, payload, { key: leftKey(requestId), requestId, type: LEFT, seq: 0 }, req)
}

function leftKey(requestId: string): string {
  return `${LEFT}:${requestId}`
}

/** Brings a document to the newest that was written down of it. */
export async function settle(plugin: Plugin, payload: Payload, id: Id, req?: PayloadRequest): Promise<void> {
  for (;;) {
    const task = await findTask(plugin.settings, payload, id, req)
    const newest = task && (await newestOf(plugin, payload, task, req))
    const change = task && newest && changeBy(task, newest)
    if (!change) return
    await changeTask(plugin.settings, payload, id, change, req)
    await follow(plugin, payload, task, change, req)
  }
}

/** Lists in the document what it was reminded of: all that was written down, so that it does not matter who lists. */
export async function settleReminders(plugin: Plugin, payload: Payload, task: TaskDocument): Promise<void> {
  const found = await payload.find({
    collection: plugin.settings.slugs.events,
    where: { and: [{ requestId: { equals: task.requestId } }, { type: { equals: REMINDER } }] },
    limit: MOST_REMINDERS,
    depth: 0,
    overrideAccess: true,
  })
  const reminders = (found.docs as unknown as EventDocument[]).map(({ body }) => body).filter(isReminder)
  const reminded = reminders
    .map(({ at, note, late_seconds }) => ({ at, note: note ?? null, lateSeconds: late_seconds ?? null }))
    .toSorted((one, other) => Date.parse(one.at) - Date.parse(other.at))
  await changeTask(plugin.settings, payload, task.id, { reminded })
}

/** The service's answer to a question of ours goes the same way as its webhooks. */
export async function hear(plugin: Plugin, payload: Payload, task: TaskDocument, view: TaskView): Promise<void> {
  const key = `${view.id}:${view.seq}`
  await writeDown(plugin, payload, { key, requestId: task.requestId, type: 'task.view', seq: view.seq, body: view })
  await settle(plugin, payload, task.id)
}

async function newestOf(
  plugin: Plugin,
  payload: Payload,
  task: TaskDocument,
  req?: PayloadRequest,
): Promise<EventDocument | undefined> {
  const found = await payload.find({
    collection: plugin.settings.slugs.events,
    where: { and: [{ requestId: { equals: task.requestId } }, { type: { not_equals: REMINDER } }] },
    sort: '-seq',
    limit: 1,
    depth: 0,
    overrideAccess: true,
    req,
  })
  return found.docs[0] as EventDocument | undefined
}

function changeBy(task: TaskDocument, newest: EventDocument): Record<string, unknown> | undefined {
  const change = isTaskView(newest.body)
    ? applied(task, newest.body)
    : isRejection(newest.body)
      ? rejected(task, newest.body)
      : undefined
  return change && { ...change, heardAt: new Date().toISOString() }
}

/** What has to be done now that the document says so. */
async function follow(
  plugin: Plugin,
  payload: Payload,
  task: TaskDocument,
  change: Record<string, unknown>,
  req?: PayloadRequest,
): Promise<void> {
  const status = change.status as Status
  if (cancelledUnheard(task) && isOpen(status)) await queueCancel(payload, task, req)
  if (status === 'done' && plugin.settings.importResults && !task.resultMedia) await queueImport(payload, task.id, req)
}
