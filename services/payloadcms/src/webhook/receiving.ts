import type { Payload, PayloadHandler } from 'payload'

import type { Plugin } from '../context.ts'
import type { ProjectDocument, TaskDocument } from '../documents.ts'
import { REQUEST_PREFIX } from '../identifiers.ts'
import { queueCancel } from '../jobs/queueing.ts'
import { readWithin } from '../reading.ts'
import { readSecrets } from '../projects/signingSecrets.ts'
import {
  isRejection,
  isReminder,
  isTaskView,
  REMINDER,
  type Rejection,
  type Reminder,
  type TaskView,
} from '../service/views.ts'
import { settle, settleReminders, wasLeft, writeDown } from '../tasks/ledger.ts'
import { isOpen } from '../vocabulary.ts'
import { isGenuine, signedHeaders, type Signed } from './signature.ts'

/** As much as an event may have, and more than a task's view ever takes. */
const LARGEST_WEBHOOK = 256 * 1024
/** A document may be a moment behind its task, for as long as its transaction takes. */
const NOT_COMMITTED_MS = 5 * 60_000

interface Webhook {
  type: string
  data: TaskView | Rejection | Reminder
}

/**
 * 2xx for everything that need not come again, 404 for a task whose document may yet appear, 401 for what is not
 * signed by the service, and whatever fails here is a 500: the service repeats those for three days.
 */
export function receiveWebhook(plugin: Plugin): PayloadHandler {
  return async (req) => {
    const signed = signedHeaders(req.headers)
    if (!signed) return answer(401, 'not signed')
    const raw = await readWithin({ body: req.body as Request['body'], headers: req.headers }, LARGEST_WEBHOOK)
    if (!raw) return answer(413, 'too large')
    const body = raw.toString()
    const told = readBody(body)
    const project = told && (await projectOf(plugin, req.payload, told))
    const genuine = project && isGenuine(signed, body, readSecrets(req.payload, project), new Date())
    if (!genuine) return answer(401, 'not signed by this project')
    const webhook = readWebhook(told)
    if (!webhook) return answer(202, 'of a kind that is not known here')
    return receive(plugin, req.payload, project, webhook, signed)
  }
}

async function receive(
  plugin: Plugin,
  payload: Payload,
  project: ProjectDocument,
  { type, data }: Webhook,
  signed: Signed,
): Promise<Response> {
  const requestId = 'request_id' in data ? data.request_id : data.client_ref
  if (!requestId?.startsWith(REQUEST_PREFIX)) return answer(200, 'not asked for from here')
  const task = await taskOf(plugin, payload, project, requestId)
  if (!task) return withoutDocument(plugin, payload, project, requestId, data)
  const about = 'seq' in data ? data.id : 'task_id' in data ? data.task_id : task.taskId
  if (about !== task.taskId) return answer(200, 'not asked for from here')
  const seq = 'seq' in data ? data.seq : 0
  const fresh = await writeDown(plugin, payload, {
    key: `${project.id}:${signed.id}`,
    requestId,
    type,
    seq,
    body: data,
  })
  // Also for one that was written down before: it may be here again because applying it failed.
  if (isReminder(data)) await settleReminders(plugin, payload, task)
  else await settle(plugin, payload, task.id)
  return answer(200, fresh ? 'heard' : 'heard before')
}

/** Deleted, of another Payload on the same project, or not committed yet. */
async function withoutDocument(
  plugin: Plugin,
  payload: Payload,
  project: ProjectDocument,
  requestId: string,
  data: Webhook['data'],
): Promise<Response> {
  if (await wasLeft(plugin, payload, requestId)) {
    if ('seq' in data && isOpen(data.status)) await queueCancel(payload, { project: project.id, taskId: data.id })
    return answer(200, 'nobody waits for it any more')
  }
  const begun = 'seq' in data ? Date.parse(data.created_at ?? '') : NaN
  if (Date.now() - begun < NOT_COMMITTED_MS) return answer(404, 'no document for it yet')
  return answer(200, 'not asked for from here')
}

interface Told {
  type: string
  data: { project_id?: unknown; endpoint_id?: unknown }
}

function readBody(body: string): Told | undefined {
  try {
    const told = JSON.parse(body) as { type?: unknown; data?: unknown } | null
    const whole = typeof told?.type === 'string' && typeof told.data === 'object' && told.data !== null
    return whole ? (told as Told) : undefined
  } catch {
    return undefined
  }
}

/** What this version understands. A later one of the service's may say more, or something else. */
function readWebhook({ type, data }: { type: string; data: unknown }): Webhook | undefined {
  if (type === 'task.rejected.v1') return isRejection(data) ? { type, data } : undefined
  if (type === REMINDER) return isReminder(data) ? { type, data } : undefined
  if (!/^(task\.[a-z]+|media\.produced)\.v1$/.test(type)) return undefined
  return isTaskView(data) ? { type, data } : undefined
}

/** Of whom the body speaks; a ping names its endpoint only. Believed once the secret of just this project signed it. */
async function projectOf(plugin: Plugin, payload: Payload, { data }: Told): Promise<ProjectDocument | undefined> {
  const { project_id, endpoint_id } = data
  const field = project_id === undefined ? 'connection.endpointId' : 'serviceProject'
  const value = project_id ?? endpoint_id
  if (typeof value !== 'string') return undefined
  const found = await payload.find({
    collection: plugin.settings.slugs.projects,
    where: { [field]: { equals: value } },
    limit: 1,
    depth: 0,
    overrideAccess: true,
    showHiddenFields: true,
  })
  return found.docs[0] as unknown as ProjectDocument | undefined
}

async function taskOf(
  plugin: Plugin,
  payload: Payload,
  project: ProjectDocument,
  requestId: string,
): Promise<TaskDocument | undefined> {
  const found = await payload.find({
    collection: plugin.settings.slugs.tasks,
    where: { and: [{ requestId: { equals: requestId } }, { project: { equals: project.id } }] },
    limit: 1,
    depth: 0,
    overrideAccess: true,
    showHiddenFields: true,
  })
  return found.docs[0] as unknown as TaskDocument | undefined
}

function answer(status: number, message: string): Response {
  return Response.json({ message }, { status })
}
