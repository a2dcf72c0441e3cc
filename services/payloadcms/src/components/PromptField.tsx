'use client'

import './panel.css'

import { FieldLabel, useField } from '@payloadcms/ui'
import type { TextareaFieldClientProps } from 'payload'

import { PROMPT } from '../catalog/checking.ts'
import { FieldMessage } from './FieldMessage.tsx'
import { useTaskForm } from './useTaskForm.ts'
import { useValidation } from './useValidation.ts'

/** The prompt as the model wants it; nothing for a model that takes none. */
export function PromptField({ path, field, readOnly }: TextareaFieldClientProps) {
  const { model, locked, errors } = useTaskForm()
  const message = errors.get(PROMPT)
  const { value, setValue, formSubmitted, disabled } = useField<string | null>({
    path,
    validate: useValidation(message),
  })
  const parameter = model?.parameters[PROMPT]
  if (model && !parameter && !value) return null
  const most = parameter?.type === 'text' ? parameter.max_length : undefined
  const wrong = message && (formSubmitted || Boolean(value)) ? message : undefined
  return (
    <div className="field-type media-task-field">
      <FieldLabel
        htmlFor="media-task-prompt"
        label={field.label ?? 'Prompt'}
        path={path}
        required={parameter !== undefined && (parameter.default ?? undefined) === undefined}
      />
      <textarea
        id="media-task-prompt"
        className="media-task-control"
        rows={3}
        value={value ?? ''}
        readOnly={(readOnly ?? false) || locked}
        disabled={disabled}
        aria-invalid={wrong !== undefined}
        aria-describedby="media-task-prompt-says"
        onChange={(event) => {
          setValue(event.target.value)
        }}
      />
      <div id="media-task-prompt-says">
        {!locked && parameter?.description && (
          <p className="media-task-hint">
            {parameter.description}
            {most && ` ${Array.from(value ?? '').length} of ${most} characters.`}
          </p>
        )}
        <FieldMessage>{wrong}</FieldMessage>
      </div>
    </div>
  )
}
