import { describe, expect, it } from 'vitest'

import { failed, loaded, mayHavePreviews, NO_PICTURES, previewAddress, told } from '../../src/panel/preview.ts'
import { isOpen, STATUSES } from '../../src/vocabulary.ts'

const SERVICE = 'https://media.example.com'
const PATH = '/api/v1/media/previews/t-1?link=sealed'

describe('where a preview is to be had', () => {
  it('is where the feed that tells of it is from', () => {
    expect(previewAddress(PATH, 't-1', SERVICE)).toBe(`${SERVICE}${PATH}`)
    expect(previewAddress(`${SERVICE}${PATH}`, 't-1', SERVICE)).toBe(`${SERVICE}${PATH}`)
  })

  it.each([
    `https://elsewhere.example.com${PATH}`,
    `//elsewhere.example.com${PATH}`,
    `\\\\elsewhere.example.com${PATH}`,
    `http://media.example.com${PATH}`,
    `https://media.example.com:8443${PATH}`,
    `https://media.example.com.elsewhere.example.com${PATH}`,
    `javascript:alert(1)//${PATH}`,
    'data:image/svg+xml,<svg/>',
    `blob:${SERVICE}/0`,
    `file://${PATH}`,
    'https://',
  ])('is nowhere else: %s', (hostile) => {
    expect(previewAddress(hostile, 't-1', SERVICE)).toBeUndefined()
  })

  it.each([
    '/api/v1/media/previews/t-2?link=sealed',
    '/api/v1/media/previews/../../tasks/t-1?link=sealed',
    '/api/v1/media/previews/t-1/../t-2?link=sealed',
    '/api/v1/media/previews/t-1/more',
    '/api/users/logout',
    '',
  ])('is that task’s and nothing else of the service: %s', (other) => {
    expect(previewAddress(other, 't-1', SERVICE)).toBeUndefined()
  })

  it('brings nobody’s credentials along', () => {
    expect(previewAddress(`https://user:word@media.example.com${PATH}#part`, 't-1', SERVICE)).toBe(`${SERVICE}${PATH}`)
  })

  it.each([null, undefined, 7, { href: PATH }])('is not known where none is told of: %s', (none) => {
    expect(previewAddress(none, 't-1', SERVICE)).toBeUndefined()
  })
})

describe('a task that may have previews', () => {
  it('is open, and makes pictures', () => {
    for (const status of STATUSES) {
      expect(mayHavePreviews({ status, medium: 'image' })).toBe(isOpen(status))
      expect(mayHavePreviews({ status, medium: 'video' })).toBe(isOpen(status))
      expect(mayHavePreviews({ status, medium: 'audio' })).toBe(false)
    }
    expect(mayHavePreviews({ status: 'waiting', medium: null })).toBe(false)
  })
})

describe('the pictures of a preview', () => {
  it('are shown once they are loaded, each in place of the one before', () => {
    const first = told(NO_PICTURES, 'a')
    expect(first).toEqual({ coming: 'a' })
    const shown = loaded(first, 'a')
    expect(shown).toEqual({ shown: 'a' })
    const second = told(shown, 'b')
    expect(second).toEqual({ shown: 'a', coming: 'b' })
    expect(loaded(second, 'b')).toEqual({ shown: 'b' })
  })

  it('leave the one before when one cannot be loaded, and nothing when there is none', () => {
    expect(failed({ shown: 'a', coming: 'b' }, 'b')).toEqual({ shown: 'a' })
    expect(failed({ coming: 'a' }, 'a')).toEqual({})
    expect(failed({ shown: 'a', coming: 'b' }, 'a')).toEqual({ coming: 'b' })
  })

  it('are given the time that they take: of those that are told of meanwhile the newest comes next', () => {
    const slow = ['b', 'c', 'd'].reduce(told, { shown: 'a' })
    expect(slow).toEqual({ shown: 'a', coming: 'b', next: 'd' })
    expect(loaded(slow, 'b')).toEqual({ shown: 'b', coming: 'd' })
    expect(failed(slow, 'b')).toEqual({ shown: 'a', coming: 'd' })
  })

  it('are not loaded again when they are told of again', () => {
    for (const pictures of [{ shown: 'a' }, { coming: 'a' }, { shown: 'b', coming: 'c', next: 'a' }]) {
      expect(told(pictures, 'a')).toBe(pictures)
    }
  })

  it('are gone with the run that they are of', () => {
    expect(told({ shown: 'a', coming: 'b', next: 'c' }, undefined)).toEqual({})
  })

  it('do not change by what is no longer of interest', () => {
    const pictures = { shown: 'b', coming: 'c' }
    expect(loaded(pictures, 'a')).toBe(pictures)
    expect(failed(pictures, 'a')).toBe(pictures)
  })
})
