import { MEDIA, type Medium } from '../vocabulary.ts'

/** The service's catalog as `GET /api/v1/models` tells it. */

interface ParameterBase {
  description?: string
  visibility?: 'basic' | 'advanced'
}
export interface IntegerParameter extends ParameterBase {
  type: 'integer'
  min: number
  max: number
  /** Allowed values are `min`, `min + step` and so on. */
  step?: number | null
  default?: number | 'random' | null
}
export interface NumberParameter extends ParameterBase {
  type: 'number'
  min: number
  max: number
  default?: number | null
}
export interface TextParameter extends ParameterBase {
  type: 'text'
  min_length?: number
  max_length: number
  default?: string | null
}
export interface FlagParameter extends ParameterBase {
  type: 'flag'
  default: boolean
}
export interface ChoiceParameter extends ParameterBase {
  type: 'choice'
  choices: string[]
  default?: string | null
}
export type CatalogParameter = IntegerParameter | NumberParameter | TextParameter | FlagParameter | ChoiceParameter

export interface InputSlot {
  medium: Medium
  description?: string
  required?: boolean
}

export interface CatalogModel {
  key: string
  title: string
  description: string
  medium: Medium
  parameters: Record<string, CatalogParameter>
  inputs: Record<string, InputSlot>
  /** Some worker has it loaded. */
  warm: boolean
  /** How many workers can run it right now. */
  workers: number
}

/** The models of an answer; what has not their shape is left out, since the service itself judges in the end. */
export function readModels(answer: unknown): CatalogModel[] {
  if (!Array.isArray(answer)) throw new TypeError('the catalog is no list of models')
  return answer.filter(isModel)
}

function isModel(found: unknown): found is CatalogModel {
  if (typeof found !== 'object' || found === null) return false
  const { key, medium, parameters, inputs } = found as Partial<CatalogModel>
  return (
    typeof key === 'string' &&
    MEDIA.some((one) => one === medium) &&
    typeof parameters === 'object' &&
    typeof inputs === 'object'
  )
}
