import { APIError, type PayloadHandler } from 'payload'

import type { Plugin } from '../context.ts'
import { asking, clientOfTask, ownTask } from './reaching.ts'

/** `GET /:id/result[?thumbnail=1]`: leads to the file by an address that opens it for a short while only. */
export function openResult(plugin: Plugin): PayloadHandler {
  return async (req) => {
    const task = await ownTask(plugin, req, 'read')
    const result = task.results?.[0]
    if (!result) throw new APIError('There is no result yet.', 404, null, true)
    const link = await asking((await clientOfTask(plugin, req, task)).link(result.mediaId))
    const address = req.searchParams.get('thumbnail') ? link.thumbnail_url : link.url
    if (!address) throw new APIError('The result has no thumbnail.', 404, null, true)
    const location = new URL(address, `${plugin.settings.service.publicUrl}/`).href
    return new Response(null, { status: 302, headers: { Location: location, 'Cache-Control': 'no-store' } })
  }
}
