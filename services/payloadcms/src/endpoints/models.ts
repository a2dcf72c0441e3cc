import { APIError, type PayloadHandler } from 'payload'

import type { Plugin } from '../context.ts'
import { MEDIA } from '../vocabulary.ts'
import { asking, clientFor, ownProject } from './reaching.ts'

/** `GET /models?project=…[&medium=…]`: what the project can ask for. */
export function listModels(plugin: Plugin): PayloadHandler {
  return async (req) => {
    const project = await ownProject(plugin, req)
    clientFor(plugin, req, project)
    const models = await asking(plugin.catalogs.models(req.payload, project))
    if (!models)
      throw new APIError('Movie Tasks does not answer, and has not since this server started.', 503, null, true)
    const medium = MEDIA.find((one) => one === req.searchParams.get('medium'))
    return Response.json({ models: medium ? models.filter((model) => model.medium === medium) : models })
  }
}
