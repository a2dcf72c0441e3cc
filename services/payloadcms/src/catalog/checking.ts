import type { TaskFields } from '../documents.ts'
import type { CatalogModel, CatalogParameter } from './models.ts'

/** What is wrong with one field of a document. */
export interface FieldError {
  path: string
  message: string
}

export const PROMPT = 'prompt'

/** The parameters as the service wants them: the prompt is one of them there, and a field of its own here. */
export function paramsOf(fields: Pick<TaskFields, 'params' | 'prompt'>): Record<string, unknown> {
  const params = { ...fields.params }
  if (fields.prompt) params[PROMPT] = fields.prompt
  return params
}

/** Everything in which a request does not fit the model. The service has the last word; this one comes at once. */
export function checkRequest(model: CatalogModel, fields: TaskFields): FieldError[] {
  return [...checkMedium(model, fields), ...checkParams(model, fields), ...checkInputs(model, fields)]
}

export function checkModel(models: CatalogModel[], fields: TaskFields): FieldError[] {
  const model = models.find((one) => one.key === fields.model)
  if (model) return checkRequest(model, fields)
  const known = models.map((one) => one.key).join(', ')
  return [{ path: 'model', message: `There is no model ${fields.model}. Offered are: ${known || 'none'}.` }]
}

function checkMedium(model: CatalogModel, { medium }: TaskFields): FieldError[] {
  if (!medium || medium === model.medium) return []
  return [{ path: 'medium', message: `${model.title} makes ${model.medium}, not ${medium}.` }]
}

function checkParams(model: CatalogModel, fields: TaskFields): FieldError[] {
  const errors: FieldError[] = []
  const given = fields.params ?? {}
  if (PROMPT in given) errors.push({ path: 'params.prompt', message: 'The prompt has a field of its own.' })
  const params = paramsOf(fields)
  for (const name of Object.keys(params)) {
    if (Object.hasOwn(model.parameters, name)) continue
    const message =
      name === PROMPT
        ? `${model.title} takes no prompt.`
        : `${model.title} has no parameter ${name}. It has: ${names(model.parameters)}.`
    errors.push({ path: pathOf(name), message })
  }
  for (const [name, parameter] of Object.entries(model.parameters)) {
    const value = params[name]
    const wrong = value === undefined ? checkMissing(parameter) : checkValue(parameter, value)
    if (wrong) errors.push({ path: pathOf(name), message: wrong })
  }
  return errors
}

function names(parameters: CatalogModel['parameters']): string {
  return Object.keys(parameters)
    .filter((name) => name !== PROMPT)
    .join(', ')
}

function pathOf(name: string): string {
  return name === PROMPT ? PROMPT : `params.${name}`
}

function checkMissing(parameter: CatalogParameter): string | undefined {
  return parameter.default === undefined || parameter.default === null ? 'Must be given.' : undefined
}

function checkValue(parameter: CatalogParameter, value: unknown): string | undefined {
  switch (parameter.type) {
    case 'integer': {
      if (value === null && parameter.default === 'random') return undefined
      const { min, max, step } = parameter
      if (!Number.isSafeInteger(value)) return `Must be a whole number from ${min} to ${max}.`
      const number = value as number
      if (number < min || number > max) return `Must be from ${min} to ${max}.`
      return step && (number - min) % step !== 0 ? `Must be ${min} plus a multiple of ${step}.` : undefined
    }
    case 'number': {
      const { min, max } = parameter
      const fits = typeof value === 'number' && value >= min && value <= max
      return fits ? undefined : `Must be a number from ${min} to ${max}.`
    }
    case 'text':
      return checkText(parameter.min_length ?? 0, parameter.max_length, value)
    case 'flag':
      return typeof value === 'boolean' ? undefined : 'Must be true or false.'
    case 'choice':
      return parameter.choices.some((choice) => choice === value)
        ? undefined
        : `Must be one of ${parameter.choices.join(', ')}.`
    default:
      // A kind that a newer service has: it judges itself.
      return undefined
  }
}

function checkText(min: number, max: number, value: unknown): string | undefined {
  if (typeof value !== 'string') return 'Must be text.'
  if (value.includes('\0')) return 'Must not contain NUL.'
  // The service counts characters, not UTF-16 units.
  const length = Array.from(value).length
  if (length < min) return `Must have at least ${min} character${min === 1 ? '' : 's'}.`
  return length > max ? `Must have at most ${max} characters; these are ${length}.` : undefined
}

function checkInputs(model: CatalogModel, fields: TaskFields): FieldError[] {
  const inputs = fields.inputs ?? []
  const errors: FieldError[] = []
  const seen = new Set<string>()
  inputs.forEach(({ name }, index) => {
    const path = `inputs.${index}.name`
    if (!Object.hasOwn(model.inputs, name)) {
      const known = Object.keys(model.inputs).join(', ') || 'none'
      errors.push({ path, message: `${model.title} has no input ${name}. It has: ${known}.` })
    } else if (seen.has(name)) errors.push({ path, message: `The input ${name} is given twice.` })
    seen.add(name)
  })
  for (const [name, slot] of Object.entries(model.inputs)) {
    if (slot.required !== false && !seen.has(name)) {
      errors.push({ path: 'inputs', message: `The input ${name} (${slot.medium}) must be given.` })
    }
  }
  return errors
}
