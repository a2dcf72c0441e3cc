import { ValidationError, type Payload } from 'payload'

import { changeTask, findProject, findTask, type Plugin } from '../context.ts'
import type { Id, TaskDocument } from '../documents.ts'
import { clientOf } from '../service/client.ts'
import { download, NotImported } from '../service/download.ts'

const ENDINGS: Record<string, string> = {
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/webp': 'webp',
  'video/mp4': 'mp4',
  'video/webm': 'webm',
  'audio/wav': 'wav',
  'audio/flac': 'flac',
  'audio/mpeg': 'mp3',
  'audio/ogg': 'ogg',
}

/** Brings a task's result into the media collection, once. */
export async function importResult(plugin: Plugin, payload: Payload, id: Id): Promise<void> {
  const { settings } = plugin
  const task = await findTask(settings, payload, id)
  const result = task?.results?.[0]
  if (!settings.importResults || !task || !result || task.resultMedia) return
  const project = await findProject(settings, payload, task.project)
  const client = project && clientOf(settings, payload, project)
  if (!client) return
  try {
    const media =
      (await alreadyImported(plugin, payload, result.mediaId)) ??
      (await bringIn(plugin, payload, task, result, (await client.link(result.mediaId)).url))
    await changeTask(settings, payload, id, { resultMedia: media, importError: null })
  } catch (error) {
    if (!(error instanceof NotImported)) throw error
    await changeTask(settings, payload, id, { importError: error.message })
  }
}

export async function noteImportFailure(plugin: Plugin, payload: Payload, id: Id): Promise<void> {
  const task = await findTask(plugin.settings, payload, id)
  if (!task || task.resultMedia) return
  const importError = 'The result could not be fetched until all attempts were spent. It is still with Movie Tasks.'
  await changeTask(plugin.settings, payload, id, { importError })
}

async function bringIn(
  plugin: Plugin,
  payload: Payload,
  task: TaskDocument,
  result: { mediaId: string; contentType: string },
  link: string,
): Promise<Id> {
  const { settings } = plugin
  const ending = ENDINGS[result.contentType]
  if (!ending || !settings.importResults) throw new NotImported(`${result.contentType} is not imported`)
  const data = await download(new URL(link, `${settings.service.url}/`), result.contentType, settings.importResults)
  try {
    const media = await payload.create({
      collection: settings.slugs.media,
      data: { project: task.project, alt: task.title ?? task.prompt?.slice(0, 500), importedFrom: result.mediaId },
      file: { data, mimetype: result.contentType, name: `${result.mediaId}.${ending}`, size: data.length },
      overrideAccess: true,
    })
    return media.id
  } catch (error) {
    const other = error instanceof ValidationError && (await alreadyImported(plugin, payload, result.mediaId))
    if (other) return other
    throw error
  }
}

/** A job that ran twice, or died between its two writes. A media collection of the host's own does not know. */
async function alreadyImported(plugin: Plugin, payload: Payload, mediaId: string): Promise<Id | undefined> {
  const collection = plugin.settings.slugs.media
  const knows = payload.collections[collection]?.config.flattenedFields.some(({ name }) => name === 'importedFrom')
  if (!knows) return undefined
  const where = { importedFrom: { equals: mediaId } }
  const found = await payload.find({ collection, where, limit: 1, depth: 0, overrideAccess: true })
  return found.docs[0]?.id
}
