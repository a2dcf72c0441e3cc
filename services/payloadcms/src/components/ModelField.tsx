'use client'

import './panel.css'

import { FieldLabel, useField, useForm } from '@payloadcms/ui'
import type { TextFieldClientProps } from 'payload'
import { useCallback } from 'react'

import { byMedium, keptParams } from '../panel/catalog.ts'
import { MEDIUM_LABELS } from '../panel/words.ts'
import { FieldMessage } from './FieldMessage.tsx'
import { useOnlyProject } from './useOnlyProject.ts'
import { useTaskForm } from './useTaskForm.ts'

/** Which model makes it: of those that the project is offered. */
export function ModelField({ path, field, readOnly, projects }: TextFieldClientProps & { projects: string }) {
  useOnlyProject(projects)
  const { project, model, offered, params, locked } = useTaskForm()
  const { dispatchFields } = useForm()
  const validate = useCallback((value: unknown) => (value ? true : 'Choose a model.'), [])
  const { value, setValue, showError, errorMessage, disabled } = useField<string | null>({ path, validate })
  const { models } = offered
  const choose = (key: string) => {
    setValue(key)
    const chosen = models?.find((one) => one.key === key)
    if (chosen) dispatchFields({ type: 'UPDATE', path: 'params', value: keptParams(chosen, params) })
  }
  const unknown = value && models && !model
  return (
    <div className="field-type media-task-field">
      <FieldLabel htmlFor="media-task-model" label={field.label ?? 'Model'} required path={path} />
      <select
        id="media-task-model"
        className="media-task-control"
        value={value ?? ''}
        disabled={(readOnly ?? false) || disabled || locked || !models}
        aria-invalid={showError}
        aria-describedby="media-task-model-says"
        onChange={(event) => {
          choose(event.target.value)
        }}
      >
        <option value="" disabled>
          {models ? 'Choose a model' : project === undefined ? 'Choose a project first' : 'Loading…'}
        </option>
        {value && !model && <option value={value}>{value}</option>}
        {byMedium(models ?? []).map(([medium, found]) => (
          <optgroup key={medium} label={MEDIUM_LABELS[medium]}>
            {found.map((one) => (
              <option key={one.key} value={one.key}>
                {one.title}
              </option>
            ))}
          </optgroup>
        ))}
      </select>
      <div id="media-task-model-says">
        {model && <p className="media-task-hint">{model.description}</p>}
        {model && !locked && (
          <p className="media-task-hint">
            {model.workers === 0
              ? 'No worker can run it right now: a task waits until one can.'
              : model.warm
                ? 'Loaded and ready.'
                : 'Has to be loaded before the first task begins.'}
          </p>
        )}
        {unknown && <FieldMessage>There is no model {value} any more.</FieldMessage>}
        {offered.problem && <FieldMessage>{offered.problem}</FieldMessage>}
        {showError && <FieldMessage>{errorMessage}</FieldMessage>}
      </div>
    </div>
  )
}
