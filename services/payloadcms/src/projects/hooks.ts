import {
  APIError,
  type CollectionAfterChangeHook,
  type CollectionAfterDeleteHook,
  type CollectionBeforeChangeHook,
  type CollectionBeforeDeleteHook,
  type CollectionConfig,
} from 'payload'

import { findProject, isOwnWrite, type Plugin } from '../context.ts'
import type { ProjectDocument } from '../documents.ts'
import { queueConnect } from '../jobs/queueing.ts'
import { clientOf } from '../service/client.ts'

const NEW_KEY = 'mediaTasksNewKey'
const LEAVING = 'mediaTasksLeaving'

export function projectHooks(plugin: Plugin): CollectionConfig['hooks'] {
  return {
    beforeChange: [lockKey],
    afterChange: [connectWithNewKey],
    beforeDelete: [keepWithTasks(plugin), rememberEndpoint(plugin)],
    afterDelete: [disconnect(plugin)],
  }
}

const lockKey: CollectionBeforeChangeHook = ({ data, req, context }) => {
  const { apiKey, ...kept } = data as { apiKey?: unknown }
  if (isOwnWrite(context) || typeof apiKey !== 'string' || apiKey.trim() === '') return kept
  req.context[NEW_KEY] = true
  const connection = { state: 'connecting', detail: null, checkedAt: new Date().toISOString() }
  return { ...kept, encryptedKey: req.payload.encrypt(apiKey.trim()), connection: { ...before(data), ...connection } }
}

function before(data: object): object {
  return (data as { connection?: object }).connection ?? {}
}

const connectWithNewKey: CollectionAfterChangeHook = async ({ doc, req, context }) => {
  if (!isOwnWrite(context) && req.context[NEW_KEY] === true) {
    await queueConnect(req.payload, (doc as ProjectDocument).id, req)
  }
  return doc as unknown
}

function keepWithTasks(plugin: Plugin): CollectionBeforeDeleteHook {
  return async ({ id, req }) => {
    const where = { project: { equals: id } }
    const { totalDocs } = await req.payload.count({ collection: plugin.settings.slugs.tasks, where, req })
    if (totalDocs > 0)
      throw new APIError(`The project has ${totalDocs} media tasks. Delete them first.`, 409, null, true)
  }
}

/** What is deleted is handed on without its hidden fields. */
function rememberEndpoint(plugin: Plugin): CollectionBeforeDeleteHook {
  return async ({ id, req }) => {
    const project = await findProject(plugin.settings, req.payload, id, req)
    // Payload may have put another object in the context's place meanwhile.
    req.context[LEAVING] = project
  }
}

/** The service would go on sending to an address where nobody knows the project. */
function disconnect(plugin: Plugin): CollectionAfterDeleteHook {
  return async ({ req }) => {
    const project = req.context[LEAVING] as ProjectDocument | undefined
    const endpointId = project?.connection?.endpointId
    if (!endpointId) return
    try {
      await clientOf(plugin.settings, req.payload, project)?.remove(endpointId)
    } catch (error) {
      req.payload.logger.warn({
        msg: 'the webhook endpoint of a deleted project stays',
        project: project.id,
        err: error,
      })
    }
  }
}
