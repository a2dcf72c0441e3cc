import type { Payload } from 'payload'

import { changeTask, findProject, type Plugin } from '../context.ts'
import type { TaskDocument } from '../documents.ts'
import { clientOf } from '../service/client.ts'
import { ServiceAway, ServiceRefused } from '../service/problems.ts'
import { hear } from '../tasks/ledger.ts'
import { OPEN_STATUSES } from '../vocabulary.ts'
import { queueConnect, queueImport, queuePublish } from './queueing.ts'

const AT_ONCE = 100
/** How soon the service says that it has a task. A broker in memory may have died with the request. */
const ANSWERED_WITHIN_MS = 60_000
/** Longer than the service goes on repeating a webhook. */
const REMEMBERED_DAYS = 14

/** What was lost on the way is asked for: webhooks that never came, jobs whose process died. */
export async function reconcile(plugin: Plugin, payload: Payload): Promise<void> {
  const silentSince = new Date(Date.now() - plugin.settings.reconciling.silentMinutes * 60_000).toISOString()
  await askForSilentTasks(plugin, payload, silentSince)
  await importAgain(plugin, payload, silentSince)
  await connectAgain(plugin, payload, silentSince)
  await forgetOldEvents(plugin, payload)
}

async function askForSilentTasks(plugin: Plugin, payload: Payload, silentSince: string): Promise<void> {
  const unansweredSince = new Date(Date.now() - ANSWERED_WITHIN_MS).toISOString()
  const found = await payload.find({
    collection: plugin.settings.slugs.tasks,
    where: {
      or: [
        { and: [{ status: { in: [...OPEN_STATUSES] } }, { heardAt: { less_than: silentSince } }] },
        { and: [{ status: { equals: 'waiting' } }, { heardAt: { less_than: unansweredSince } }] },
      ],
    },
    sort: 'heardAt',
    limit: AT_ONCE,
    depth: 0,
    overrideAccess: true,
    showHiddenFields: true,
  })
  const away = new Set<string>()
  for (const task of found.docs as unknown as TaskDocument[]) {
    const project = String(task.project)
    if (away.has(project)) continue
    try {
      await askFor(plugin, payload, task)
    } catch (error) {
      if (!(error instanceof ServiceAway)) throw error
      away.add(project)
    }
  }
}

/** The service's own word, or the request once more when it has none. Raises `ServiceAway`. */
export async function askFor(plugin: Plugin, payload: Payload, task: TaskDocument): Promise<void> {
  const project = await findProject(plugin.settings, payload, task.project)
  const client = project && clientOf(plugin.settings, payload, project)
  try {
    if (client) await hear(plugin, payload, task, await client.task(task.taskId))
  } catch (error) {
    if (!(error instanceof ServiceRefused)) throw error
    if (error.status === 404 && task.status === 'waiting') await queuePublish(payload, task.id)
  }
  await changeTask(plugin.settings, payload, task.id, { heardAt: new Date().toISOString() })
}

async function importAgain(plugin: Plugin, payload: Payload, silentSince: string): Promise<void> {
  if (!plugin.settings.importResults) return
  const found = await payload.find({
    collection: plugin.settings.slugs.tasks,
    where: {
      and: [
        { status: { equals: 'done' } },
        { resultMedia: { exists: false } },
        { importError: { exists: false } },
        { heardAt: { less_than: silentSince } },
      ],
    },
    limit: AT_ONCE,
    depth: 0,
    overrideAccess: true,
  })
  for (const task of found.docs) {
    await queueImport(payload, task.id)
    await changeTask(plugin.settings, payload, task.id, { heardAt: new Date().toISOString() })
  }
}

async function connectAgain(plugin: Plugin, payload: Payload, silentSince: string): Promise<void> {
  const found = await payload.find({
    collection: plugin.settings.slugs.projects,
    where: {
      and: [
        { 'connection.state': { in: ['connecting', 'unreachable'] } },
        { 'connection.checkedAt': { less_than: silentSince } },
      ],
    },
    limit: AT_ONCE,
    depth: 0,
    overrideAccess: true,
  })
  for (const project of found.docs) await queueConnect(payload, project.id)
}

async function forgetOldEvents(plugin: Plugin, payload: Payload): Promise<void> {
  const before = new Date(Date.now() - REMEMBERED_DAYS * 86_400_000).toISOString()
  await payload.db.deleteMany({
    collection: plugin.settings.slugs.events,
    where: { createdAt: { less_than: before } },
  })
}
