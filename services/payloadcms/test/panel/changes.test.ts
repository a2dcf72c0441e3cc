import { describe, expect, it } from 'vitest'

import { changedBy, later } from '../../src/panel/live/changes.ts'
import { progressed, task, view } from './events.ts'

describe('what an event makes of a task', () => {
  it('takes a newer view and passes over an older', () => {
    expect(changedBy(task(), view())).toMatchObject({ status: 'processing', seq: 3, phase: 'generating' })
    expect(changedBy(task({ seq: 3 }), view())).toBeUndefined()
  })

  it('only goes forwards within an attempt', () => {
    const running = task({ status: 'processing', attempt: 1, progress: 40 })
    expect(changedBy(running, progressed(0.5))).toMatchObject({ progress: 50, step: 5, steps: 10, etaSeconds: 2 })
    expect(changedBy(running, progressed(0.3))).toBeUndefined()
    expect(changedBy(running, progressed(0.1, { attempt: 2 }))).toMatchObject({ progress: 10, attempt: 2 })
    expect(changedBy(running, progressed(0.9, { attempt: 0 }))).toBeUndefined()
    expect(changedBy(task({ status: 'done' }), progressed(0.9))).toBeUndefined()
  })

  it('says why a request was refused', () => {
    const problem = { title: 'Invalid', detail: 'No such model.', code: 'invalid-request' }
    const refused = { request_id: 'media-task-1', project_id: 'p', problem }
    expect(changedBy(task({ status: 'waiting', seq: 0 }), refused)).toMatchObject({
      status: 'rejected',
      error: problem,
    })
    expect(changedBy(task(), refused)).toBeUndefined()
  })

  it('passes over what is neither', () => {
    expect(changedBy(task(), { anything: 1 })).toBeUndefined()
    expect(changedBy(task(), null)).toBeUndefined()
  })

  it('keeps what the feed has told over an older document, and its result over none', () => {
    const known = task({ status: 'done', seq: 6, title: 'old', results: [{ mediaId: 'm', contentType: 'image/png' }] })
    expect(later(known, task({ seq: 4, status: 'processing', title: 'new' }))).toMatchObject({
      status: 'done',
      title: 'new',
      results: [{ mediaId: 'm' }],
    })
    expect(later(known, task({ seq: 7, status: 'done' }))).toMatchObject({ seq: 7 })
  })

  it('does not go back to the progress of a newer document, which has none of a run but its beginning', () => {
    const known = task({ status: 'processing', attempt: 1, progress: 40, step: 4, steps: 10 })
    const fresh = task({ status: 'processing', attempt: 1, progress: 0, seq: 5 })
    expect(later(known, fresh)).toMatchObject({ progress: 40, step: 4, seq: 5 })
    expect(later(known, { ...fresh, attempt: 2 })).toMatchObject({ progress: 0 })
    expect(later(known, { ...fresh, status: 'failed' })).toMatchObject({ status: 'failed', progress: 0 })
  })

  it('takes a document that asks anew, whatever was heard of what it asked before', () => {
    const anew = task({ taskId: 't-2', status: 'waiting', seq: 0 })
    expect(later(task({ status: 'rejected', seq: 0 }), anew)).toBe(anew)
  })
})
