import { describe, expect, it } from 'vitest'

import { checkModel } from '../src/catalog/checking.ts'
import { readModels } from '../src/catalog/models.ts'
import type { TaskFields } from '../src/documents.ts'
import { MODELS } from './examples.ts'

const GOOD: TaskFields = { project: 1, model: 'some-image', prompt: 'a red circle' }

function check(change: Partial<TaskFields>): Record<string, string> {
  return Object.fromEntries(checkModel(MODELS, { ...GOOD, ...change }).map(({ path, message }) => [path, message]))
}

it('finds nothing wrong with a request that fits', () => {
  const params = { width: 64, guidance: 1.5, tiled: true, style: 'rich', seed: null, negative_prompt: '' }
  expect(check({ params })).toEqual({})
})

describe('names the field and what is allowed', () => {
  it.each<[Partial<TaskFields>, string, RegExp]>([
    [{ model: 'another' }, 'model', /no model another.*some-image, some-edit, some-sound/],
    [{ model: 'constructor' }, 'model', /no model constructor/],
    [{ medium: 'video' }, 'medium', /makes image, not video/],
    [{ prompt: '' }, 'prompt', /Must be given/],
    [{ prompt: 'x'.repeat(21) }, 'prompt', /at most 20 characters; these are 21/],
    [{ prompt: 'a\0b' }, 'prompt', /NUL/],
    [{ params: { prompt: 'twice' } }, 'params.prompt', /a field of its own/],
    [{ params: { hight: 64 } }, 'params.hight', /no parameter hight. It has: negative_prompt, width/],
    [{ params: { constructor: 1 } }, 'params.constructor', /no parameter constructor/],
    [{ params: { width: 63 } }, 'params.width', /from 64 to 256/],
    [{ params: { width: 65 } }, 'params.width', /64 plus a multiple of 8/],
    [{ params: { width: '64' } }, 'params.width', /a whole number/],
    [{ params: { width: 64.5 } }, 'params.width', /a whole number/],
    [{ params: { width: null } }, 'params.width', /a whole number/],
    [{ params: { guidance: 21 } }, 'params.guidance', /from 1 to 20/],
    [{ params: { guidance: true } }, 'params.guidance', /a number/],
    [{ params: { tiled: 1 } }, 'params.tiled', /true or false/],
    [{ params: { style: 'wild' } }, 'params.style', /plain, rich/],
    [{ params: { negative_prompt: 5 } }, 'params.negative_prompt', /text/],
    [{ model: 'some-edit' }, 'inputs', /image \(image\) must be given/],
    [{ inputs: [{ name: 'image', media: 1 }] }, 'inputs.0.name', /no input image. It has: none/],
  ])('%j', (change, path, message) => {
    expect(check(change)).toEqual({ [path]: expect.stringMatching(message) as string })
  })

  it('an input that is given twice', () => {
    const inputs = [1, 2].map((media) => ({ name: 'image', media }))
    expect(check({ model: 'some-edit', inputs })).toEqual({ 'inputs.1.name': 'The input image is given twice.' })
  })
})

it('counts characters as the service does', () => {
  expect(check({ prompt: '🎬'.repeat(20) })).toEqual({})
})

it('leaves kinds of parameters that it does not know to the service', () => {
  const [image, ...others] = MODELS
  const parameters = { ...image?.parameters, curve: { type: 'curve', default: [] } }
  const models = readModels([{ ...image, parameters }, ...others])
  expect(checkModel(models, { ...GOOD, params: { curve: [1, 2] } })).toEqual([])
})

it('reads no catalog out of what is none, and leaves out what is no model', () => {
  expect(() => readModels({ error: 'no' })).toThrow(TypeError)
  expect(readModels([null, 5, { key: 'x' }, ...MODELS])).toEqual(MODELS)
})
