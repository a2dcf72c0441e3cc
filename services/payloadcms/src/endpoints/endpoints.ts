import type { Endpoint } from 'payload'

import type { Plugin } from '../context.ts'
import { receiveWebhook } from '../webhook/receiving.ts'
import { ACTIONS } from '../vocabulary.ts'
import { act } from './actions.ts'
import { openLiveFeed } from './live.ts'
import { listModels } from './models.ts'
import { openResult } from './result.ts'

/** Of the tasks' collection: a path that begins with a collection's slug never reaches the endpoints of the root. */
export function taskEndpoints(plugin: Plugin): Endpoint[] {
  return [
    { path: '/webhook', method: 'post', handler: receiveWebhook(plugin) },
    { path: '/models', method: 'get', handler: listModels(plugin) },
    { path: '/live', method: 'get', handler: openLiveFeed(plugin) },
    { path: '/:id/result', method: 'get', handler: openResult(plugin) },
    ...ACTIONS.map((action): Endpoint => ({ path: `/:id/${action}`, method: 'post', handler: act(plugin, action) })),
  ]
}
