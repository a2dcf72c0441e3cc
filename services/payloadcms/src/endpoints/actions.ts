import { APIError, type PayloadHandler, type PayloadRequest } from 'payload'

import { changeTask, findProject, type Plugin } from '../context.ts'
import type { TaskDocument } from '../documents.ts'
import { askFor } from '../jobs/reconciling.ts'
import { queueCancel, queuePublish } from '../jobs/queueing.ts'
import { traceOf } from '../publishing/tracing.ts'
import { hear, leaveRequest } from '../tasks/ledger.ts'
import { newLife } from '../tasks/request.ts'
import { actionsFrom, PRIORITIES, type Action } from '../vocabulary.ts'
import { outcomeOf } from './outcomes.ts'
import { asking, clientOfTask, ownTask } from './reaching.ts'

type Doing = (plugin: Plugin, req: PayloadRequest, task: TaskDocument) => Promise<unknown>

const DOING: Record<Action, Doing> = { cancel, retry, prioritise, duplicate, refresh }

/** `POST /:id/{action}`: does it if it makes sense from where the task is, and answers with the document and how it went. */
export function act(plugin: Plugin, action: Action): PayloadHandler {
  return async (req) => {
    const task = await ownTask(plugin, req, 'update')
    if (!actionsFrom(task.status).includes(action)) {
      throw new APIError(`A task that is ${task.status} cannot be asked to ${action}.`, 409, null, true)
    }
    const id = ((await DOING[action](plugin, req, task)) as TaskDocument['id'] | undefined) ?? task.id
    const doc = await req.payload.findByID({
      collection: plugin.settings.slugs.tasks,
      id,
      depth: 0,
      overrideAccess: false,
      user: req.user,
      req,
    })
    const message = outcomeOf(action, doc as unknown as TaskDocument)
    return Response.json({ doc, message }, { status: action === 'duplicate' ? 201 : 200 })
  }
}

async function cancel(plugin: Plugin, req: PayloadRequest, task: TaskDocument): Promise<void> {
  if (task.status !== 'waiting') {
    const client = await clientOfTask(plugin, req, task)
    await hear(plugin, req.payload, task, await asking(client.cancel(task.taskId)))
    return
  }
  // The service may be about to hear of it: should it answer, it is told then.
  await changeTask(plugin.settings, req.payload, task.id, { status: 'cancelled', cancelRequested: true })
  await queueCancel(req.payload, task)
}

async function retry(plugin: Plugin, req: PayloadRequest, task: TaskDocument): Promise<void> {
  if (task.seq > 0) {
    const client = await clientOfTask(plugin, req, task)
    await hear(plugin, req.payload, task, await asking(client.retry(task.taskId)))
    return
  }
  // A refusal and a cancel stay with their id, so it is asked anew; what was never sent keeps its own, in case it was
  // after all.
  const project = await findProject(plugin.settings, req.payload, task.project)
  const keeps = task.status === 'unpublished' || !project
  const anew = keeps ? {} : newLife(task, project)
  if (!keeps) await leaveRequest(plugin, req.payload, task.requestId)
  const error = { title: null, detail: null, code: null }
  await changeTask(plugin.settings, req.payload, task.id, {
    ...anew,
    status: 'waiting',
    error,
    cancelRequested: false,
    heardAt: new Date().toISOString(),
  })
  await queuePublish(req.payload, task.id, undefined, traceOf(plugin.settings, req))
}

async function prioritise(plugin: Plugin, req: PayloadRequest, task: TaskDocument): Promise<void> {
  const given = (await req.json?.().catch(() => undefined)) as { priority?: unknown } | undefined
  const priority = PRIORITIES.find((one) => one === given?.priority)
  if (!priority) throw new APIError(`Say which priority: ${PRIORITIES.join(', ')}.`, 400, null, true)
  const client = await clientOfTask(plugin, req, task)
  await hear(plugin, req.payload, task, await asking(client.prioritise(task.taskId, priority)))
}

/** The same again, by chance different: the seed is left for the service to draw. */
async function duplicate(plugin: Plugin, req: PayloadRequest, task: TaskDocument): Promise<TaskDocument['id']> {
  const params = Object.fromEntries(Object.entries(task.params ?? {}).filter(([name]) => name !== 'seed'))
  const { project, title, model, prompt, inputs, priority, tags } = task
  const made = await req.payload.create({
    collection: plugin.settings.slugs.tasks,
    data: {
      project,
      title,
      model,
      prompt,
      params,
      priority,
      tags,
      inputs: inputs?.map(({ name, media }) => ({ name, media })),
    },
    overrideAccess: false,
    user: req.user,
    depth: 0,
    req,
  })
  return made.id
}

async function refresh(plugin: Plugin, req: PayloadRequest, task: TaskDocument): Promise<void> {
  await asking(askFor(plugin, req.payload, task))
}
