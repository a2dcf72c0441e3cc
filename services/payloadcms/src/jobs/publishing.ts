import type { Payload } from 'payload'

import { changeTask, findProject, findTask, type Plugin } from '../context.ts'
import type { Id } from '../documents.ts'
import { publish, taskRequested } from '../publishing/sidecar.ts'
import { clientOf } from '../service/client.ts'
import { ServiceRefused } from '../service/problems.ts'
import { refusal } from '../tasks/applying.ts'
import { uploadInputs } from '../tasks/inputs.ts'

/** Says nothing about having published: what the document tells next is what the service answers. */
export async function publishTask(plugin: Plugin, payload: Payload, id: Id, traceparent?: string): Promise<void> {
  const { settings } = plugin
  const task = await findTask(settings, payload, id)
  if (task?.status !== 'waiting') return
  const project = await findProject(settings, payload, task.project)
  const client = project && clientOf(settings, payload, project)
  if (!client) throw new Error('the project has no API key')
  try {
    const inputs = await uploadInputs(plugin, payload, client, task)
    await publish(settings.dapr, taskRequested(task.request, inputs, traceparent))
  } catch (error) {
    if (!(error instanceof ServiceRefused)) throw error
    const { title, message, code } = error
    await changeTask(settings, payload, id, refusal(`An input was refused: ${title}`, message, code))
  }
}

/** The attempts are spent. Should one of them have arrived all the same, the service's word replaces this. */
export async function giveUpPublishing(plugin: Plugin, payload: Payload, id: Id): Promise<void> {
  const task = await findTask(plugin.settings, payload, id)
  if (task?.status !== 'waiting' || task.seq > 0) return
  await changeTask(plugin.settings, payload, id, {
    status: 'unpublished',
    error: {
      title: 'The request could not be sent',
      detail: 'The Dapr sidecar or Movie Tasks did not answer until all attempts were spent. Retry sends it again.',
      code: 'unpublished',
    },
  })
}
