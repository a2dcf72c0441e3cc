import { describe, expect, it } from 'vitest'

import { readTask, type PanelTask } from '../../src/panel/task.ts'
import {
  bytesInWords,
  factsOf,
  outlookInWords,
  percentOf,
  phaseInWords,
  previewInWords,
  reminderInWords,
  secondsInWords,
  stepsInWords,
  titleOf,
} from '../../src/panel/words.ts'
import { STATUSES } from '../../src/vocabulary.ts'

const task = (given: Partial<PanelTask> = {}): PanelTask => ({
  id: 1,
  status: 'processing',
  results: [],
  seq: 3,
  ...given,
})

describe('what the panel says', () => {
  it('has words for every status', () => {
    expect(STATUSES.map((status) => phaseInWords(task({ status })))).not.toContain('')
  })

  it('names the phase, and that a cancelled task is still running', () => {
    expect(phaseInWords(task({ phase: 'encoding' }))).toBe('Writing the file')
    expect(phaseInWords(task({ phase: 'dreaming' }))).toBe('Movie Tasks is at work')
    expect(phaseInWords(task({ phase: 'generating', cancelRequested: true }))).toMatch(/^Cancelling/)
  })

  it('says how far it has got only while it runs', () => {
    expect(percentOf(task({ progress: 41.6 }))).toBe(42)
    expect(percentOf(task({ progress: 41.6, status: 'pending' }))).toBeUndefined()
    expect(stepsInWords(task({ step: 3, steps: 12, etaSeconds: 61 }))).toBe('Step 3 of 12, about 1 min 1 s left')
    expect(stepsInWords(task({ step: 3, steps: 12 }))).toBe('Step 3 of 12')
    expect(stepsInWords(task())).toBeUndefined()
  })

  it('tells when an open task will be done, and of a deadline that is in danger', () => {
    const now = new Date('2040-01-01T12:00:00')
    const estimate = { p50At: '2040-01-01T12:05:00', p90At: '2040-01-02T12:00:00' }
    const said = outlookInWords(task({ estimate, deadline: 'unlikely' }), now)
    expect(said).toMatch(/^Probably done at .*05.*, almost certainly on .*\. The deadline will probably be missed\.$/)
    expect(outlookInWords(task({ estimate, deadline: 'likely' }), now)).not.toContain('deadline')
    expect(outlookInWords(task({ phase: 'scheduled', status: 'pending', startAt: estimate.p50At }), now)).toMatch(
      /^Starts at/,
    )
    expect(outlookInWords(task({ estimate, status: 'done' }), now)).toBeUndefined()
    expect(outlookInWords(task(), now)).toBeUndefined()
  })

  it('tells of a reminder when it was for, what it says, and that it came late', () => {
    const now = new Date('2040-01-01T12:00:00')
    const at = '2040-01-01T11:00:00'
    expect(reminderInWords({ at, note: 'call', lateSeconds: 65 }, now)).toMatch(
      /^Reminder at .* \(told 1 min 5 s late\): call$/,
    )
    expect(reminderInWords({ at }, now)).not.toContain('late')
  })

  it('rounds as people do', () => {
    expect([0.2, 59, 60, 3700].map(secondsInWords)).toEqual(['1 s', '59 s', '1 min', '1 h 1 min'])
    expect([512, 999_600, 12_345_678].map(bytesInWords)).toEqual(['512 B', '1.0 MB', '12 MB'])
  })

  it('tells of a result what is known of it', () => {
    const sound = { mediaId: 'm', contentType: 'audio/wav', size: 44_100, duration: 1.5 }
    expect(factsOf(sound)).toEqual([
      ['Duration', '1.5 s'],
      ['Size', '44 kB'],
      ['Type', 'audio/wav'],
    ])
  })

  it('does not call a preview a result', () => {
    expect(previewInWords({ medium: 'image' })).toBe('Preview: the picture so far')
    expect(previewInWords({ medium: 'video' })).toBe('Preview: a frame from the middle of the clip, so far')
  })

  it('calls a task without a title by its prompt', () => {
    expect(titleOf({ id: 7, title: ' ', prompt: 'a red circle' })).toBe('a red circle')
    expect(titleOf({ id: 7 })).toBe('Task 7')
  })
})

describe('reading a document', () => {
  it('takes a related project at any depth', () => {
    expect(readTask({ id: 1, status: 'done', project: { id: 4 }, results: null })).toMatchObject({
      project: 4,
      results: [],
      seq: 0,
    })
  })

  it('finds no task in a form that was never saved', () => {
    expect(readTask({ status: 'waiting' })).toBeUndefined()
    expect(readTask({ id: 1, status: 'unheard of' })).toBeUndefined()
    expect(readTask(undefined)).toBeUndefined()
  })

  it('takes no preview from a document, which has none', () => {
    expect(readTask({ id: 1, status: 'processing', preview: 'https://elsewhere.example.com' })?.preview).toBeUndefined()
  })
})
