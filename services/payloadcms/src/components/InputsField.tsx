'use client'

import './panel.css'

import { BulkUploadProvider, UploadInput, useConfig, useField, useForm } from '@payloadcms/ui'
import type { ArrayFieldClientProps, Where } from 'payload'

import type { Medium } from '../vocabulary.ts'
import { idOf, type Id } from '../documents.ts'
import { inputsOf, labelOf } from '../panel/catalog.ts'
import { FieldMessage } from './FieldMessage.tsx'
import { useTaskForm } from './useTaskForm.ts'
import { useValidation } from './useValidation.ts'

/** A place for each file that the model takes, named as the model names it; nothing for a model that takes none. */
export function InputsField({ path, field, schemaPath, readOnly }: ArrayFieldClientProps) {
  const { model, project, inputs, errors, locked } = useTaskForm()
  const { config, getEntityConfig } = useConfig()
  const { addFieldRow, removeFieldRow, dispatchFields, setModified } = useForm()
  const missing = errors.get(path)
  const { formSubmitted } = useField({ path, hasRows: true, validate: useValidation(missing) })
  const relationTo = mediaOf(field)
  const slots = model ? inputsOf(model) : []
  if (!relationTo || (slots.length === 0 && inputs.length === 0)) return null
  const media = getEntityConfig({ collectionSlug: relationTo })
  const ofProjects = media.fields.some((one) => 'name' in one && one.name === 'project')

  const set = (name: string, value: unknown) => {
    const id = idOf(value) ?? idOf((value as { value?: unknown } | null)?.value)
    const row = inputs.find((input) => input.name === name)
    if (id === undefined) {
      if (row) removeFieldRow({ path, rowIndex: row.index })
    } else if (row) {
      dispatchFields({ type: 'UPDATE', path: `${path}.${row.index}.media`, value: id })
    } else {
      const state = (given: Id) => ({ value: given, initialValue: given, valid: true })
      const subFieldState = { name: state(name), media: state(id) }
      addFieldRow({ path, schemaPath: schemaPath ?? path, rowIndex: inputs.length, subFieldState })
    }
    setModified(true)
  }
  const strangers = model ? inputs.filter(({ name }) => !Object.hasOwn(model.inputs, name)) : []
  return (
    <fieldset className="field-type media-task-field">
      <legend>Inputs</legend>
      {slots.map(({ name, slot, required }) => {
        const row = inputs.find((input) => input.name === name)
        return (
          <div key={name} className="media-task-input" data-media-task-input={name}>
            <BulkUploadProvider drawerSlugPrefix={`${path}-${name}`}>
              <UploadInput
                path={`${path}.${row?.index ?? inputs.length}.media`}
                relationTo={relationTo}
                api={config.routes.api}
                serverURL={config.serverURL}
                label={labelOf(name)}
                description={slot.description}
                required={required}
                readOnly={(readOnly ?? false) || locked}
                filterOptions={{ [relationTo]: wanted(slot.medium, ofProjects ? project : undefined) }}
                value={row?.media}
                onChange={(value: unknown) => {
                  set(name, value)
                }}
              />
            </BulkUploadProvider>
            <FieldMessage>{row && errors.get(`${path}.${row.index}.name`)}</FieldMessage>
          </div>
        )
      })}
      {strangers.map(({ name, index }) => (
        <p key={index} className="media-task-wrong">
          {model?.title} takes no input {name}.{' '}
          <button
            type="button"
            onClick={() => {
              removeFieldRow({ path, rowIndex: index })
            }}
          >
            Remove
          </button>
        </p>
      ))}
      {formSubmitted && <FieldMessage>{missing}</FieldMessage>}
    </fieldset>
  )
}

function mediaOf(field: ArrayFieldClientProps['field']): string | undefined {
  const upload = field.fields.find((one) => one.type === 'upload')
  return typeof upload?.relationTo === 'string' ? upload.relationTo : undefined
}

/** Of the medium that the slot takes, and of the same project. */
function wanted(medium: Medium, project: Id | undefined): Where {
  const ofMedium: Where = { mimeType: { like: `${medium}/` } }
  return project === undefined ? ofMedium : { and: [ofMedium, { project: { equals: project } }] }
}
