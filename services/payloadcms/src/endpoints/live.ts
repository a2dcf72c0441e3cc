import type { PayloadHandler } from 'payload'

import type { Plugin } from '../context.ts'
import { asking, clientFor, ownProject } from './reaching.ts'

/** `GET /live?project=…`: where a browser can follow the project for a while, by a ticket instead of the key. */
export function openLiveFeed(plugin: Plugin): PayloadHandler {
  return async (req) => {
    const project = await ownProject(plugin, req)
    const { sse } = await asking(clientFor(plugin, req, project).ticket())
    const url = new URL(sse, `${plugin.settings.service.publicUrl}/`).href
    return Response.json({ url }, { headers: { 'Cache-Control': 'no-store' } })
  }
}
