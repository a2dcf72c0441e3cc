'use client'

import './panel.css'

import { useAllFormFields, useField } from '@payloadcms/ui'
import type { JSONFieldClientProps } from 'payload'
import { useEffect, useState } from 'react'

import { labelOf, parametersOf, readParams, withParam, type NamedParameter } from '../panel/catalog.ts'
import { FieldMessage } from './FieldMessage.tsx'
import { ParameterField } from './ParameterField.tsx'
import { useTaskForm } from './useTaskForm.ts'
import { useValidation } from './useValidation.ts'

/** The model's parameters as a form, derived from the catalog; and the same as JSON, for whoever wants it. */
export function ParamsField({ path, readOnly }: JSONFieldClientProps) {
  const { model, params, errors, locked } = useTaskForm()
  const [text, setText] = useState<string>()
  const read = text === undefined ? undefined : readParams(text)
  const problem = read && 'problem' in read ? read.problem : undefined
  const own = [...errors].filter(([at]) => at.startsWith(`${path}.`))
  const first = own.map(([at, message]) => `${labelOf(at.slice(path.length + 1))}: ${message}`)[0]
  const { setValue, disabled, formSubmitted } = useField({ path, validate: useValidation(problem ?? first) })
  const told = useServerErrors(path)
  const set = (name: string, value: unknown) => {
    setText(undefined)
    setValue(withParam(params, name, value))
  }
  const errorOf = (name: string) => {
    const wrong = errors.get(`${path}.${name}`)
    return wrong && (formSubmitted || params[name] !== undefined) ? wrong : told.get(`${path}.${name}`)
  }
  const fixed = (readOnly ?? false) || locked
  const fieldOf = ({ name, parameter }: NamedParameter) => (
    <ParameterField
      key={name}
      name={name}
      parameter={parameter}
      value={params[name]}
      error={errorOf(name)}
      disabled={disabled}
      onChange={(value) => {
        set(name, value)
      }}
    />
  )
  if (fixed) return <FixedParams params={params} />
  const { basic, advanced } = model ? parametersOf(model) : { basic: [], advanced: [] }
  const strangers = model ? own.filter(([at]) => !Object.hasOwn(model.parameters, at.slice(path.length + 1))) : []
  return (
    <fieldset className="field-type media-task-field media-task-params">
      <legend>Parameters</legend>
      {!model && <p className="media-task-hint">They depend on the model.</p>}
      {basic.length > 0 && <div className="media-task-params__grid">{basic.map(fieldOf)}</div>}
      {advanced.length > 0 && (
        <details open={advanced.some(({ name }) => errorOf(name) !== undefined) || undefined}>
          <summary>More parameters</summary>
          <div className="media-task-params__grid">{advanced.map(fieldOf)}</div>
        </details>
      )}
      <details>
        <summary>As JSON</summary>
        <textarea
          className="media-task-control media-task-control--code"
          aria-label="Parameters as JSON"
          rows={6}
          spellCheck={false}
          disabled={disabled}
          aria-invalid={problem !== undefined}
          value={text ?? JSON.stringify(params, null, 2)}
          onChange={(event) => {
            setText(event.target.value)
            const found = readParams(event.target.value)
            if ('params' in found) setValue(found.params)
          }}
          onBlur={() => {
            if (!problem) setText(undefined)
          }}
        />
        <FieldMessage>{problem}</FieldMessage>
      </details>
      {strangers.map(([at, message]) => (
        <FieldMessage key={at}>{message}</FieldMessage>
      ))}
    </fieldset>
  )
}

function FixedParams({ params }: { params: Record<string, unknown> }) {
  const given = Object.entries(params)
  return (
    <div className="field-type media-task-field">
      <span className="field-label">Parameters</span>
      {given.length === 0 && <p className="media-task-hint">All as the model has them by default.</p>}
      <dl className="media-task-facts">
        {given.map(([name, value]) => (
          <div key={name}>
            <dt>{labelOf(name)}</dt>
            <dd>{typeof value === 'string' ? value : JSON.stringify(value)}</dd>
          </div>
        ))}
      </dl>
    </div>
  )
}

/**
 * What the server says of single parameters. Payload keeps it as fields of their own, which would be sent along with
 * the next save and keep it from being sent at all: so they are taken out, and remembered until the parameters change.
 */
function useServerErrors(path: string): ReadonlyMap<string, string> {
  const [fields, dispatch] = useAllFormFields()
  const [told, setTold] = useState<ReadonlyMap<string, string>>(new Map())
  const found = Object.entries(fields).filter(([at]) => at.startsWith(`${path}.`))
  useEffect(() => {
    if (found.length === 0) return
    setTold(new Map(found.map(([at, { errorMessage }]) => [at, errorMessage ?? 'Does not fit.'])))
    for (const [at] of found) dispatch({ type: 'REMOVE', path: at })
  }, [found, dispatch])
  const value = fields[path]?.value
  useEffect(() => {
    setTold(new Map())
  }, [value])
  return told
}
