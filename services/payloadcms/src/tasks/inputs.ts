import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'

import { ValidationError, type Payload, type PayloadRequest } from 'payload'

import type { FieldError } from '../catalog/checking.ts'
import { isAdmin } from '../access/membership.ts'
import type { Plugin } from '../context.ts'
import { idOf, type Id, type TaskDocument, type TaskFields } from '../documents.ts'
import type { ServiceClient } from '../service/client.ts'

interface MediaDocument {
  id: Id
  project?: unknown
  filename?: string | null
  mimeType?: string | null
}

/** Inputs that the user may not see, and those of another project. */
export async function checkInputMedia(plugin: Plugin, req: PayloadRequest, fields: TaskFields): Promise<FieldError[]> {
  const errors: FieldError[] = []
  for (const [index, input] of (fields.inputs ?? []).entries()) {
    const id = idOf(input.media)
    if (id === undefined) continue
    const media = (await req.payload.findByID({
      collection: plugin.settings.slugs.media,
      id,
      depth: 0,
      disableErrors: true,
      overrideAccess: !req.user || isAdmin(plugin.settings, req),
      user: req.user,
      req,
    })) as MediaDocument | null
    const home = idOf(media?.project)
    const foreign = home !== undefined && String(home) !== String(idOf(fields.project))
    if (!media || foreign) errors.push({ path: `inputs.${index}.media`, message: 'No such media in this project.' })
  }
  return errors
}

/** The task's inputs as the service knows them. What it has not been given yet is uploaded. */
export async function uploadInputs(
  plugin: Plugin,
  payload: Payload,
  client: ServiceClient,
  task: TaskDocument,
): Promise<Record<string, string>> {
  const inputs: Record<string, string> = {}
  for (const input of task.inputs ?? []) {
    inputs[input.name] = await uploadOnce(plugin, payload, client, task.project, input.media)
  }
  return inputs
}

async function uploadOnce(
  plugin: Plugin,
  payload: Payload,
  client: ServiceClient,
  project: Id,
  mediaId: Id,
): Promise<string> {
  const { media: collection, uploads } = plugin.settings.slugs
  const media = (await payload.findByID({ collection, id: mediaId, depth: 0, overrideAccess: true })) as MediaDocument
  const file = await readUpload(payload, collection, media)
  const key = `${project}:${createHash('sha256').update(file).digest('hex')}`
  const before = await knownUpload(plugin, payload, key)
  if (before) return before
  const type = media.mimeType ?? 'application/octet-stream'
  const { id } = await client.upload(new Blob([new Uint8Array(file)], { type }), media.filename ?? 'input')
  try {
    await payload.create({ collection: uploads, data: { key, mediaId: id } })
    return id
  } catch (error) {
    // Another job uploaded the same meanwhile. All must name the same copy, or the event would not be a repetition.
    const others = error instanceof ValidationError && (await knownUpload(plugin, payload, key))
    if (others) return others
    throw error
  }
}

async function knownUpload(plugin: Plugin, payload: Payload, key: string): Promise<string | undefined> {
  const collection = plugin.settings.slugs.uploads
  const known = await payload.find({ collection, where: { key: { equals: key } }, limit: 1, depth: 0 })
  return (known.docs[0] as { mediaId: string } | undefined)?.mediaId
}

/** The file from wherever the media collection keeps it. */
async function readUpload(payload: Payload, collection: string, media: MediaDocument): Promise<Buffer> {
  const { upload } = payload.collections[collection]?.config ?? {}
  const filename = media.filename ?? ''
  for (const handler of upload?.handlers ?? []) {
    const answer = await handler({ payload, headers: new Headers() } as PayloadRequest, {
      doc: media,
      params: { collection, filename },
    })
    if (answer instanceof Response) {
      if (!answer.ok) throw new Error(`the storage of ${collection} answers ${answer.status} for an input`)
      return Buffer.from(await answer.arrayBuffer())
    }
  }
  return readFile(path.resolve(upload?.staticDir ?? collection, path.basename(filename)))
}
