'use client'

import { useId } from 'react'

import type { CatalogParameter } from '../catalog/models.ts'
import { defaultInWords, draw, isDrawn, labelOf, rangeInWords, readNumber, sliderStep } from '../panel/catalog.ts'
import { FieldMessage } from './FieldMessage.tsx'

interface Given {
  name: string
  parameter: CatalogParameter
  value: unknown
  error: string | undefined
  disabled: boolean
  /** Undefined leaves it to the model. */
  onChange: (value: unknown) => void
}

/** One parameter, as its kind wants to be set. */
export function ParameterField(given: Given) {
  const { name, parameter, error } = given
  const id = useId()
  const otherwise = defaultInWords(parameter)
  const hints = [parameter.description, rangeInWords(parameter), otherwise && `Otherwise ${otherwise}.`]
  const wide = parameter.type === 'text'
  return (
    <div
      className={`media-task-parameter${wide ? ' media-task-parameter--wide' : ''}`}
      data-media-task-parameter={name}
    >
      <label htmlFor={id}>{labelOf(name)}</label>
      <Control {...given} id={id} says={`${id}-says`} />
      <div id={`${id}-says`}>
        <FieldMessage>{error}</FieldMessage>
        <p className="media-task-hint">{hints.filter(Boolean).join(' ')}</p>
      </div>
    </div>
  )
}

type Shown = Given & { id: string; says: string }

function Control(shown: Shown) {
  const { parameter, value, onChange } = shown
  const common = {
    id: shown.id,
    disabled: shown.disabled,
    'aria-invalid': shown.error !== undefined,
    'aria-describedby': shown.says,
  }
  switch (parameter.type) {
    case 'integer':
    case 'number':
      return <NumberControl {...shown} />
    case 'flag':
      return (
        <input
          {...common}
          type="checkbox"
          checked={typeof value === 'boolean' ? value : parameter.default}
          onChange={(event) => {
            onChange(event.target.checked)
          }}
        />
      )
    case 'choice':
      return (
        <select
          {...common}
          className="media-task-control"
          value={typeof value === 'string' ? value : ''}
          onChange={(event) => {
            onChange(event.target.value || undefined)
          }}
        >
          <option value="">{defaultInWords(parameter) ?? 'Choose'}</option>
          {parameter.choices
            .filter((choice) => choice !== parameter.default || choice === value)
            .map((choice) => (
              <option key={choice}>{choice}</option>
            ))}
        </select>
      )
    case 'text':
      return (
        <textarea
          {...common}
          className="media-task-control"
          rows={2}
          value={typeof value === 'string' ? value : ''}
          placeholder={defaultInWords(parameter)}
          onChange={(event) => {
            onChange(event.target.value || undefined)
          }}
        />
      )
    default:
      return <p className="media-task-hint">Can be set as JSON below.</p>
  }
}

function NumberControl({ id, says, name, parameter, value, error, disabled, onChange }: Shown) {
  if (parameter.type !== 'integer' && parameter.type !== 'number') return null
  const slider = sliderStep(parameter)
  const shown = typeof value === 'number' || typeof value === 'string' ? value : ''
  const standard = typeof parameter.default === 'number' ? parameter.default : parameter.min
  return (
    <span className="media-task-number">
      {slider !== undefined && (
        <input
          type="range"
          aria-label={`${labelOf(name)}, slider`}
          tabIndex={-1}
          min={parameter.min}
          max={parameter.max}
          step={slider}
          value={typeof value === 'number' ? value : standard}
          disabled={disabled}
          onChange={(event) => {
            onChange(Number(event.target.value))
          }}
        />
      )}
      <input
        id={id}
        className="media-task-control"
        type="text"
        inputMode={parameter.type === 'integer' ? 'numeric' : 'decimal'}
        value={shown}
        placeholder={defaultInWords(parameter)}
        disabled={disabled}
        aria-invalid={error !== undefined}
        aria-describedby={says}
        onChange={(event) => {
          onChange(readNumber(event.target.value))
        }}
      />
      {isDrawn(parameter) && (
        <button
          type="button"
          className="media-task-dice"
          title="Draw a new one"
          aria-label={`Draw a new ${labelOf(name).toLowerCase()}`}
          disabled={disabled}
          onClick={() => {
            onChange(draw(parameter, Math.random()))
          }}
        >
          <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.6" aria-hidden="true">
            <rect x="4" y="4" width="16" height="16" rx="3" />
            <path d="M9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01" strokeLinecap="round" strokeWidth="2.4" />
          </svg>
        </button>
      )}
    </span>
  )
}
