import type { Payload, PayloadRequest, RequestContext } from 'payload'

import type { Catalogs } from './catalog/cache.ts'
import type { Id, ProjectDocument, TaskDocument } from './documents.ts'
import type { Settings } from './options.ts'

/** What hooks, jobs and endpoints of one plugin share. */
export interface Plugin {
  settings: Settings
  catalogs: Catalogs
}

const OWN = 'mediaTasksOwn'

/** Marks a write as the plugin's own, so that its hooks let it pass. */
export const ownWrite: RequestContext = { [OWN]: true }

export function isOwnWrite(context: RequestContext): boolean {
  return context[OWN] === true
}

export async function findProject(
  settings: Settings,
  payload: Payload,
  id: Id,
  req?: PayloadRequest,
): Promise<ProjectDocument | undefined> {
  const found = await payload.findByID({
    collection: settings.slugs.projects,
    id,
    depth: 0,
    disableErrors: true,
    overrideAccess: true,
    showHiddenFields: true,
    req,
  })
  return (found as ProjectDocument | null) ?? undefined
}

export async function findTask(
  settings: Settings,
  payload: Payload,
  id: Id,
  req?: PayloadRequest,
): Promise<TaskDocument | undefined> {
  const found = await payload.findByID({
    collection: settings.slugs.tasks,
    id,
    depth: 0,
    disableErrors: true,
    overrideAccess: true,
    showHiddenFields: true,
    req,
  })
  return (found as unknown as TaskDocument | null) ?? undefined
}

/** A change that the plugin makes of its own accord. */
export async function changeTask(
  settings: Settings,
  payload: Payload,
  id: Id,
  data: Record<string, unknown>,
  req?: PayloadRequest,
): Promise<void> {
  await payload.update({
    collection: settings.slugs.tasks,
    id,
    data,
    depth: 0,
    overrideAccess: true,
    context: { ...ownWrite },
    // The same transaction and not the same request: the mark would stay on it, and on what else it does.
    req: req && { transactionID: req.transactionID, user: req.user },
  })
}
