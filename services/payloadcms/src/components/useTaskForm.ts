'use client'

import { useAllFormFields, useDocumentInfo } from '@payloadcms/ui'
import { useEffect, useMemo, useState } from 'react'

import { checkRequest } from '../catalog/checking.ts'
import type { CatalogModel } from '../catalog/models.ts'
import { idOf, type Id, type TaskFields } from '../documents.ts'
import type { PanelApi } from '../panel/api.ts'
import { readTask } from '../panel/task.ts'
import { UNSENT_STATUSES } from '../vocabulary.ts'
import { useApi, useLiveTask } from './useLiveTask.ts'

export interface Offered {
  models?: CatalogModel[]
  problem?: string
}

const FRESH_MS = 30_000
const asked = new Map<string, { at: number; models: Promise<CatalogModel[]> }>()

/** What the project can ask for; nothing while it is being asked. */
export function useModels(project: Id | undefined, collectionSlug: string): Offered {
  const api = useApi(collectionSlug)
  const [found, setFound] = useState<{ project?: Id; offered: Offered }>({ offered: {} })
  useEffect(() => {
    if (project === undefined) return
    let wanted = true
    const say = (offered: Offered) => {
      if (wanted) setFound({ project, offered })
    }
    modelsOf(api, project).then(
      (models) => {
        say({ models })
      },
      (error: unknown) => {
        say({ problem: error instanceof Error ? error.message : 'The models could not be loaded.' })
      },
    )
    return () => {
      wanted = false
    }
  }, [api, project])
  return found.project === project ? found.offered : {}
}

function modelsOf(api: PanelApi, project: Id): Promise<CatalogModel[]> {
  const key = `${api.address}?${project}`
  const known = asked.get(key)
  if (known && Date.now() - known.at < FRESH_MS) return known.models
  const models = api.models(project)
  asked.set(key, { at: Date.now(), models })
  models.catch(() => {
    asked.delete(key)
  })
  return models
}

export interface TaskForm {
  project?: Id
  model?: CatalogModel
  offered: Offered
  params: Record<string, unknown>
  inputs: { name: string; media?: Id; index: number }[]
  /** What is wrong, by the path of the field. */
  errors: ReadonlyMap<string, string>
  /** It was asked for, and cannot be changed any more. */
  locked: boolean
}

/** What the form of a task says so far, and how that fits the model. */
export function useTaskForm(): TaskForm {
  const { collectionSlug = '', data } = useDocumentInfo()
  const [fields] = useAllFormFields()
  const saved = useMemo(() => readTask(data), [data])
  const task = useLiveTask(saved, collectionSlug)
  const project = idOf(fields.project?.value)
  const offered = useModels(project, collectionSlug)
  const key = fields.model?.value
  const model = offered.models?.find((one) => one.key === key)
  const params = useMemo(() => asParams(fields.params?.value), [fields.params?.value])
  const prompt = asText(fields.prompt?.value)
  const rows = fields.inputs?.rows ?? []
  const given = rows.map((_, index) => ({
    name: asText(fields[`inputs.${index}.name`]?.value),
    media: idOf(fields[`inputs.${index}.media`]?.value),
    index,
  }))
  const inputsKey = JSON.stringify(given)
  const inputs = useMemo(() => JSON.parse(inputsKey) as TaskForm['inputs'], [inputsKey])
  const errors = useMemo(
    () => errorsOf(model, { project: project ?? '', model: '', prompt, params, inputs }),
    [model, project, prompt, params, inputs],
  )
  const locked = task !== undefined && !UNSENT_STATUSES.includes(task.status)
  return { project, model, offered, params, inputs, errors, locked }
}

function errorsOf(
  model: CatalogModel | undefined,
  fields: Omit<TaskFields, 'inputs'> & { inputs: TaskForm['inputs'] },
): ReadonlyMap<string, string> {
  if (!model) return new Map()
  const chosen = fields.inputs.filter(({ media }) => media !== undefined)
  const inputs = chosen.map(({ name, media }) => ({ name, media: media ?? '' }))
  return new Map(checkRequest(model, { ...fields, inputs }).map(({ path, message }) => [path, message]))
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function asParams(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}
