import type { Payload } from 'payload'

import { findProject, ownWrite, type Plugin } from '../context.ts'
import type { ProjectDocument } from '../documents.ts'
import { clientOf, type ServiceClient } from '../service/client.ts'
import { ServiceAway, ServiceRefused } from '../service/problems.ts'
import type { EndpointView } from '../service/views.ts'
import { addSecret, readSecrets } from './signingSecrets.ts'

/** Everything that happens to a task, and nothing of how far its run is: that is what the live feed is for. */
export const EVENTS = ['task.*']

/**
 * Checks the key, and sees to it that the service reports to this Payload through exactly one endpoint whose secret
 * is known here. Doing it again changes nothing. Raises `ServiceAway` after having written that down.
 */
export async function connect(plugin: Plugin, payload: Payload, project: ProjectDocument): Promise<void> {
  const client = clientOf(plugin.settings, payload, project)
  if (!client) {
    await note(plugin, payload, project, { state: 'unconnected', detail: null })
    return
  }
  try {
    await client.checkProject(project.serviceProject)
    await ensureEndpoint(plugin, payload, project, client)
    await note(plugin, payload, project, { state: 'connected', detail: null })
  } catch (error) {
    if (error instanceof ServiceRefused) {
      await note(plugin, payload, project, { state: 'refused', detail: `${error.title}: ${error.message}` })
    } else if (error instanceof ServiceAway) {
      await note(plugin, payload, project, { state: 'unreachable', detail: error.message })
      throw error
    } else throw error
  }
}

async function ensureEndpoint(
  plugin: Plugin,
  payload: Payload,
  project: ProjectDocument,
  client: ServiceClient,
): Promise<void> {
  const ours = await ownEndpoints(plugin, client)
  const known = ours.find(({ id, events }) => id === project.connection?.endpointId && sameEvents(events))
  if (known && readSecrets(payload, project).length > 0) {
    if (!known.enabled) await client.enable(known.id)
    await removeOthers(client, ours, known)
    return
  }
  const { endpoint, secret } = await client.register(plugin.settings.webhook.url, EVENTS)
  // The secret first: what is signed with it may arrive before the others are gone.
  await note(plugin, payload, project, {
    endpointId: endpoint.id,
    encryptedSecrets: addSecret(payload, project, secret),
  })
  await removeOthers(client, await ownEndpoints(plugin, client), endpoint)
}

async function ownEndpoints(plugin: Plugin, client: ServiceClient): Promise<EndpointView[]> {
  return (await client.endpoints()).filter(({ url }) => url === plugin.settings.webhook.url)
}

/** Of what is older than the one to keep: of two that connect at once the later one's endpoint stays. */
async function removeOthers(client: ServiceClient, all: EndpointView[], kept: EndpointView): Promise<void> {
  for (const other of all) {
    if (other.id !== kept.id && other.created_at <= kept.created_at) await client.remove(other.id)
  }
}

function sameEvents(events: readonly string[]): boolean {
  return [...events].sort().join() === [...EVENTS].sort().join()
}

/** Over what is kept by then: a secret may have been added since the project was read. */
async function note(
  plugin: Plugin,
  payload: Payload,
  { id }: ProjectDocument,
  change: Record<string, unknown>,
): Promise<void> {
  const project = await findProject(plugin.settings, payload, id)
  if (!project) return
  await payload.update({
    collection: plugin.settings.slugs.projects,
    id,
    data: { connection: { ...project.connection, ...change, checkedAt: new Date().toISOString() } },
    depth: 0,
    overrideAccess: true,
    context: { ...ownWrite },
  })
}
