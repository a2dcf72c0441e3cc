import type { CatalogModel } from '../src/catalog/models.ts'

export const IMAGE_MODEL: CatalogModel = {
  key: 'some-image',
  title: 'Some image',
  description: 'Makes images.',
  medium: 'image',
  parameters: {
    prompt: { type: 'text', min_length: 1, max_length: 20 },
    negative_prompt: { type: 'text', max_length: 20, default: '' },
    width: { type: 'integer', min: 64, max: 256, step: 8, default: 128 },
    guidance: { type: 'number', min: 1, max: 20, default: 5 },
    tiled: { type: 'flag', default: false },
    style: { type: 'choice', choices: ['plain', 'rich'], default: 'plain' },
    seed: { type: 'integer', min: 0, max: 1000, default: 'random' },
  },
  inputs: {},
  warm: true,
  workers: 1,
}

export const EDIT_MODEL: CatalogModel = {
  ...IMAGE_MODEL,
  key: 'some-edit',
  title: 'Some edit',
  inputs: { image: { medium: 'image', required: true }, mask: { medium: 'image', required: false } },
}

export const SOUND_MODEL: CatalogModel = {
  ...IMAGE_MODEL,
  key: 'some-sound',
  title: 'Some sound',
  medium: 'audio',
  parameters: { prompt: { type: 'text', min_length: 1, max_length: 20 } },
}

export const MODELS = [IMAGE_MODEL, EDIT_MODEL, SOUND_MODEL]

/** One pixel. */
export const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
