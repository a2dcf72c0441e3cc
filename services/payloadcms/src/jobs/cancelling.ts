import type { Payload } from 'payload'

import { findProject, type Plugin } from '../context.ts'
import type { Id } from '../documents.ts'
import { clientOf } from '../service/client.ts'
import { ServiceRefused } from '../service/problems.ts'

/** A task that has ended, or of which the service has not heard, needs no cancelling. */
export async function cancelTask(plugin: Plugin, payload: Payload, projectId: Id, taskId: string): Promise<void> {
  const project = await findProject(plugin.settings, payload, projectId)
  try {
    await (project && clientOf(plugin.settings, payload, project))?.cancel(taskId)
  } catch (error) {
    if (!(error instanceof ServiceRefused)) throw error
    payload.logger.info({ msg: 'a task is not cancelled', taskId, status: error.status, reason: error.message })
  }
}
