import { describe, expect, it } from 'vitest'

import type { CatalogModel, IntegerParameter } from '../../src/catalog/models.ts'
import {
  byMedium,
  draw,
  keptParams,
  parametersOf,
  rangeInWords,
  readNumber,
  readParams,
  sliderStep,
  withParam,
} from '../../src/panel/catalog.ts'

const seed: IntegerParameter = { type: 'integer', min: 0, max: 4294967295, default: 'random', visibility: 'advanced' }
const width: IntegerParameter = { type: 'integer', min: 64, max: 256, step: 8, default: 128 }
const model = (given: Partial<CatalogModel> = {}): CatalogModel => ({
  key: 'tiny-image',
  title: 'Tiny image',
  description: '',
  medium: 'image',
  parameters: { prompt: { type: 'text', max_length: 100 }, width, seed },
  inputs: {},
  warm: true,
  workers: 1,
  ...given,
})

describe('the form of a request', () => {
  it('groups models by medium and leaves out media without any', () => {
    const audio = model({ key: 'tiny-audio', medium: 'audio' })
    expect(byMedium([audio, model()]).map(([medium, found]) => [medium, found.length])).toEqual([
      ['image', 1],
      ['audio', 1],
    ])
  })

  it('has a place of its own for the prompt and keeps the advanced apart', () => {
    const { basic, advanced } = parametersOf(model())
    expect([basic, advanced].map((all) => all.map(({ name }) => name))).toEqual([['width'], ['seed']])
  })

  it('keeps what another model knows too', () => {
    expect(keptParams(model(), { width: 64, frames: 9, prompt: 'x' })).toEqual({ width: 64 })
  })

  it('leaves a cleared parameter to the model', () => {
    expect(withParam({ width: 64, seed: 1 }, 'seed', undefined)).toEqual({ width: 64 })
    expect(withParam({ seed: 1 }, 'seed', 2)).toEqual({ seed: 2 })
  })

  it('draws only what is allowed', () => {
    expect([draw(width, 0), draw(width, 0.999999)]).toEqual([64, 256])
    expect((draw(width, 0.5) - width.min) % 8).toBe(0)
    expect(draw(seed, 0.999999999)).toBeLessThanOrEqual(seed.max)
  })

  it('has a slider where one can be aimed', () => {
    expect(sliderStep(width)).toBe(8)
    expect(sliderStep(seed)).toBeUndefined()
    expect(sliderStep({ type: 'number', min: 1, max: 20 })).toBe(0.1)
    expect(sliderStep({ type: 'flag', default: true })).toBeUndefined()
    expect(rangeInWords(width)).toBe('64 to 256, in steps of 8.')
  })

  it('keeps what is no number, to be complained about', () => {
    expect(['', ' 12 ', '1e3', 'twelve'].map(readNumber)).toEqual([undefined, 12, 1000, 'twelve'])
  })

  it('reads JSON and says what is wrong with it', () => {
    expect(readParams('')).toEqual({ params: {} })
    expect(readParams('{"steps": 3}')).toEqual({ params: { steps: 3 } })
    expect(readParams('[1]')).toEqual({ problem: 'Must be a JSON object: a value by each parameter’s name.' })
    expect(readParams('{')).toHaveProperty('problem', expect.stringMatching(/^This is no JSON/))
  })
})
