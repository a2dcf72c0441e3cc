import { APIError, Forbidden, NotFound, type PayloadRequest } from 'payload'

import { mayUseProject } from '../access/membership.ts'
import { findProject, findTask, type Plugin } from '../context.ts'
import type { Id, ProjectDocument, TaskDocument } from '../documents.ts'
import { clientOf, type ServiceClient } from '../service/client.ts'
import { ServiceAway, ServiceRefused } from '../service/problems.ts'

/** The project that a request names, if its user may use it. */
export async function ownProject(plugin: Plugin, req: PayloadRequest): Promise<ProjectDocument> {
  if (!req.user) throw new Forbidden(req.t)
  const id = req.searchParams.get('project')
  if (!id) throw new APIError('Say which project: ?project=', 400, null, true)
  const project = (await mayUseProject(plugin.settings, req, id))
    ? await findProject(plugin.settings, req.payload, id, req)
    : undefined
  if (!project) throw new NotFound(req.t)
  return project
}

/** The task in the path, if its user may `read` or `update` it; another's looks like none. */
export async function ownTask(
  plugin: Plugin,
  req: PayloadRequest,
  operation: 'read' | 'update',
): Promise<TaskDocument> {
  if (!req.user) throw new Forbidden(req.t)
  const id = req.routeParams?.id as Id
  const collection = plugin.settings.slugs.tasks
  const access = await req.payload.collections[collection]?.config.access[operation]({ req, id })
  if (access === undefined || access === false) throw new NotFound(req.t)
  const where = { and: [{ id: { equals: id } }, ...(access === true ? [] : [access])] }
  const visible = await req.payload.count({ collection, where, overrideAccess: true, req })
  const task = visible.totalDocs > 0 ? await findTask(plugin.settings, req.payload, id, req) : undefined
  if (!task) throw new NotFound(req.t)
  return task
}

export function clientFor(plugin: Plugin, req: PayloadRequest, project: ProjectDocument | undefined): ServiceClient {
  const client = project && clientOf(plugin.settings, req.payload, project)
  if (!client) throw new APIError('The project has no API key of Movie Tasks yet.', 409, null, true)
  return client
}

export async function clientOfTask(plugin: Plugin, req: PayloadRequest, task: TaskDocument): Promise<ServiceClient> {
  return clientFor(plugin, req, await findProject(plugin.settings, req.payload, task.project, req))
}

/** What the service says, as an answer of this API. */
export async function asking<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof ServiceAway) throw new APIError(error.message, 503, null, true)
    if (!(error instanceof ServiceRefused)) throw error
    // A key that is refused is nothing the user could send better.
    const status = error.status === 401 || error.status === 403 ? 502 : error.status
    throw new APIError(`${error.title}: ${error.message}`, status, null, true)
  }
}
