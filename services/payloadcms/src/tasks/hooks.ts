import {
  ValidationError,
  type CollectionAfterChangeHook,
  type CollectionAfterDeleteHook,
  type CollectionBeforeChangeHook,
  type CollectionBeforeValidateHook,
  type CollectionConfig,
  type PayloadRequest,
} from 'payload'

import { checkModel, type FieldError } from '../catalog/checking.ts'
import type { CatalogModel } from '../catalog/models.ts'
import { findProject, isOwnWrite, type Plugin } from '../context.ts'
import { idOf, type ProjectDocument, type TaskDocument, type TaskFields } from '../documents.ts'
import { queueCancel, queuePublish } from '../jobs/queueing.ts'
import { traceOf } from '../publishing/tracing.ts'
import { ServiceRefused } from '../service/problems.ts'
import { isOpen, UNSENT_STATUSES } from '../vocabulary.ts'
import { checkInputMedia } from './inputs.ts'
import { leaveRequest, settle } from './ledger.ts'
import { changedFields, newLife } from './request.ts'
import { checkTimes } from './times.ts'

const LARGEST_PARAMS = 32 * 1024

export function taskHooks(plugin: Plugin): CollectionConfig['hooks'] {
  return {
    beforeValidate: [checkTask(plugin)],
    beforeChange: [beginLife(plugin)],
    afterChange: [publishOrCatchUp(plugin)],
    afterDelete: [leaveTask(plugin)],
  }
}

/** Refuses what the service would refuse, while there is still somebody to tell. */
function checkTask(plugin: Plugin): CollectionBeforeValidateHook {
  return async ({ data, originalDoc, operation, req, context }) => {
    if (isOwnWrite(context) || !data) return data
    const before = originalDoc as TaskDocument | undefined
    const fields = { ...before, ...data } as TaskFields
    if (operation === 'update' && before) {
      const changed = changedFields(before, fields)
      if (changed.length === 0) return data
      if (!UNSENT_STATUSES.includes(before.status)) throw invalid(plugin, req, changed.map(alreadySent))
    }
    const project = await projectOf(plugin, fields, req)
    if (!project || !fields.model) return data
    const errors = [
      ...checkSize(fields),
      ...checkTimes(fields, new Date()),
      ...(await checkInputMedia(plugin, req, fields)),
    ]
    const models = await catalogOf(plugin, project, req)
    if (models) errors.push(...checkModel(models, fields))
    if (errors.length > 0) throw invalid(plugin, req, errors)
    const medium = models?.find(({ key }) => key === fields.model)?.medium
    return medium ? { ...data, medium } : data
  }
}

/** A new document, and one that was never sent and is changed, asks under an id of its own. */
function beginLife(plugin: Plugin): CollectionBeforeChangeHook {
  return async ({ data, originalDoc, operation, req, context }) => {
    if (isOwnWrite(context)) return data
    const fields = data as TaskFields
    const before = originalDoc as TaskDocument | undefined
    if (operation === 'update' && before && changedFields(before, fields).length === 0) return data
    const project = await projectOf(plugin, fields, req)
    if (!project) return data
    const life = newLife(fields, project)
    if (before?.requestId) await leaveRequest(plugin, req.payload, before.requestId, req)
    // Changed, and not sent before somebody says so.
    return { ...data, ...life, ...(before ? { status: before.status, error: before.error } : {}) }
  }
}

function publishOrCatchUp(plugin: Plugin): CollectionAfterChangeHook {
  return async ({ doc, operation, req, context }) => {
    if (isOwnWrite(context)) return doc as unknown
    const task = doc as TaskDocument
    if (operation === 'create') await queuePublish(req.payload, task.id, req, traceOf(plugin.settings, req))
    // Somebody's save may have put back what a webhook wrote between their read and their write.
    else await settle(plugin, req.payload, task.id, req)
    return doc as unknown
  }
}

/** What is heard of it later is for nobody, and what it asked for is not wanted. */
function leaveTask(plugin: Plugin): CollectionAfterDeleteHook {
  return async ({ doc, req }) => {
    const task = doc as TaskDocument
    // Saved while the plugin was disabled.
    if (!task.requestId) return
    await leaveRequest(plugin, req.payload, task.requestId, req)
    const project = idOf(task.project)
    if (isOpen(task.status) && project !== undefined) {
      await queueCancel(req.payload, { project, taskId: task.taskId }, req)
    }
  }
}

async function projectOf(
  plugin: Plugin,
  fields: TaskFields,
  req: PayloadRequest,
): Promise<ProjectDocument | undefined> {
  const id = idOf(fields.project)
  return id === undefined ? undefined : findProject(plugin.settings, req.payload, id, req)
}

/** Undefined when nobody can be asked: the request is saved, and judged by the service when it gets there. */
async function catalogOf(
  plugin: Plugin,
  project: ProjectDocument,
  req: PayloadRequest,
): Promise<CatalogModel[] | undefined> {
  if (!project.encryptedKey) {
    throw invalid(plugin, req, [{ path: 'project', message: `${project.name} has no API key of Movie Tasks yet.` }])
  }
  try {
    return await plugin.catalogs.models(req.payload, project)
  } catch (error) {
    if (!(error instanceof ServiceRefused)) throw error
    const message = `Movie Tasks refuses the API key of ${project.name}: ${error.message}`
    throw invalid(plugin, req, [{ path: 'project', message }])
  }
}

function checkSize(fields: TaskFields): FieldError[] {
  const { params } = fields
  if (params === undefined || params === null) return []
  if (typeof params !== 'object' || Array.isArray(params)) {
    return [{ path: 'params', message: 'Must be a JSON object: a value by each parameter’s name.' }]
  }
  const size = Buffer.byteLength(JSON.stringify(params))
  return size > LARGEST_PARAMS ? [{ path: 'params', message: 'These are more than the service takes.' }] : []
}

function alreadySent(path: string): FieldError {
  return { path, message: 'Cannot be changed once it is asked for. Duplicate the document, and change the copy.' }
}

function invalid(plugin: Plugin, req: PayloadRequest, errors: FieldError[]): ValidationError {
  const labelled = errors.map((error) => ({ ...error, label: error.path }))
  return new ValidationError({ collection: plugin.settings.slugs.tasks, errors: labelled, req }, req.t)
}
