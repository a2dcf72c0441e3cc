import type { CatalogModel, CatalogParameter, InputSlot, IntegerParameter } from '../catalog/models.ts'
import { PROMPT } from '../catalog/checking.ts'
import { MEDIA, type Medium } from '../vocabulary.ts'

/** The form of a request, derived from nothing but the catalog. */

export function byMedium(models: readonly CatalogModel[]): [Medium, CatalogModel[]][] {
  return MEDIA.map((medium): [Medium, CatalogModel[]] => [
    medium,
    models.filter((model) => model.medium === medium),
  ]).filter(([, found]) => found.length > 0)
}

export interface NamedParameter {
  name: string
  parameter: CatalogParameter
}

/** What a model takes besides the prompt, the everyday ones apart from the others. */
export function parametersOf(model: CatalogModel): { basic: NamedParameter[]; advanced: NamedParameter[] } {
  const all = Object.entries(model.parameters)
    .filter(([name]) => name !== PROMPT)
    .map(([name, parameter]) => ({ name, parameter }))
  return {
    basic: all.filter(({ parameter }) => parameter.visibility !== 'advanced'),
    advanced: all.filter(({ parameter }) => parameter.visibility === 'advanced'),
  }
}

export function inputsOf(model: CatalogModel): { name: string; slot: InputSlot; required: boolean }[] {
  return Object.entries(model.inputs).map(([name, slot]) => ({ name, slot, required: slot.required !== false }))
}

/** Of what was set for another model, that which this one has too. */
export function keptParams(model: CatalogModel, params: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(params).filter(([name]) => name !== PROMPT && Object.hasOwn(model.parameters, name))
  return Object.fromEntries(kept)
}

/** With one value set, or taken away so that the model's default holds. */
export function withParam(params: Record<string, unknown>, name: string, value: unknown): Record<string, unknown> {
  const others = Object.entries(params).filter(([key]) => key !== name)
  return Object.fromEntries(value === undefined ? others : [...others, [name, value]])
}

/** `steps_per_second` as a person writes it. */
export function labelOf(name: string): string {
  const words = name.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

export function defaultInWords(parameter: CatalogParameter): string | undefined {
  const { default: value } = parameter
  if (value === undefined || value === null || value === '') return undefined
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)
}

export function rangeInWords(parameter: CatalogParameter): string | undefined {
  if (parameter.type === 'text') return `Up to ${parameter.max_length} characters.`
  if (parameter.type !== 'integer' && parameter.type !== 'number') return undefined
  const step =
    parameter.type === 'integer' && parameter.step && parameter.step > 1 ? `, in steps of ${parameter.step}` : ''
  return `${parameter.min} to ${parameter.max}${step}.`
}

export function isDrawn(parameter: CatalogParameter): parameter is IntegerParameter {
  return parameter.type === 'integer' && parameter.default === 'random'
}

/** `chance` is from 0 to below 1. */
export function draw({ min, max, step }: IntegerParameter, chance: number): number {
  const stride = step ?? 1
  return min + Math.floor(chance * (Math.floor((max - min) / stride) + 1)) * stride
}

/** How fine a slider of it is; undefined where there would be too many stops to aim at one. */
export function sliderStep(parameter: CatalogParameter): number | undefined {
  if (parameter.type === 'number') return niceStep(parameter.max - parameter.min)
  if (parameter.type !== 'integer' || parameter.default === 'random') return undefined
  const step = parameter.step ?? 1
  return (parameter.max - parameter.min) / step <= 512 ? step : undefined
}

function niceStep(range: number): number {
  return 10 ** Math.floor(Math.log10(range / 20))
}

/** A number field's text as a value; what is no number stays text, so that it can be complained about. */
export function readNumber(text: string): number | string | undefined {
  const trimmed = text.trim()
  if (trimmed === '') return undefined
  const number = Number(trimmed)
  return Number.isFinite(number) ? number : text
}

/** The raw JSON of the parameters, or why it is none. */
export function readParams(text: string): { params: Record<string, unknown> } | { problem: string } {
  if (text.trim() === '') return { params: {} }
  try {
    const found: unknown = JSON.parse(text)
    if (typeof found === 'object' && found !== null && !Array.isArray(found)) {
      return { params: found as Record<string, unknown> }
    }
    return { problem: 'Must be a JSON object: a value by each parameter’s name.' }
  } catch (error) {
    return { problem: `This is no JSON: ${error instanceof Error ? error.message : 'it cannot be read'}` }
  }
}
