import { describe, expect, it } from 'vitest'

import { changedBy, later } from '../../src/panel/live/changes.ts'
import type { PanelTask } from '../../src/panel/task.ts'
import { preview, progressed, SERVICE, task, view } from './events.ts'

const after = (known: PanelTask, data: unknown) => changedBy(known, data, SERVICE)

describe('what an event makes of a task', () => {
  it('takes a newer view and passes over an older', () => {
    expect(after(task(), view())).toMatchObject({ status: 'processing', seq: 3, phase: 'generating' })
    expect(after(task({ seq: 3 }), view())).toBeUndefined()
  })

  it('only goes forwards within an attempt', () => {
    const running = task({ status: 'processing', attempt: 1, progress: 40 })
    expect(after(running, progressed(0.5))).toMatchObject({ progress: 50, step: 5, steps: 10, etaSeconds: 2 })
    expect(after(running, progressed(0.3))).toBeUndefined()
    expect(after(running, progressed(0.1, { attempt: 2 }))).toMatchObject({ progress: 10, attempt: 2 })
    expect(after(running, progressed(0.9, { attempt: 0 }))).toBeUndefined()
    expect(after(task({ status: 'done' }), progressed(0.9))).toBeUndefined()
  })

  it('says why a request was refused', () => {
    const problem = { title: 'Invalid', detail: 'No such model.', code: 'invalid-request' }
    const refused = { request_id: 'media-task-1', project_id: 'p', problem }
    expect(after(task({ status: 'waiting', seq: 0 }), refused)).toMatchObject({
      status: 'rejected',
      error: problem,
    })
    expect(after(task(), refused)).toBeUndefined()
  })

  it('passes over what is neither', () => {
    expect(after(task(), { anything: 1 })).toBeUndefined()
    expect(after(task(), null)).toBeUndefined()
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

  it('has the newest preview of a run, which is gone when that ends or another begins', () => {
    const seen = task({ status: 'processing', attempt: 1, seq: 3, preview: 'the one before' })
    expect(after(task(), progressed(0.1, preview('a')))).toMatchObject({
      preview: `${SERVICE}${preview('a').preview_url}`,
    })
    expect(after(seen, progressed(0.5, preview('b')))).toMatchObject({
      preview: `${SERVICE}${preview('b').preview_url}`,
    })
    expect(after(seen, progressed(0.6, { preview_url: null }))?.preview).toBe('the one before')
    expect(after(seen, view({ seq: 4, phase: 'encoding' }))?.preview).toBe('the one before')
    expect(after(seen, progressed(0.1, { attempt: 2 }))?.preview).toBeUndefined()
    expect(after(seen, view({ seq: 4, attempt: 2 }))?.preview).toBeUndefined()
    for (const status of ['pending', 'done', 'failed', 'cancelled', 'expired']) {
      const over = after(seen, view({ seq: 4, status }))
      expect(over?.status).toBe(status)
      expect(over?.preview).toBeUndefined()
    }
  })

  it('has no preview that is of somewhere else', () => {
    const elsewhere = { preview_url: `https://elsewhere.example.com${preview('a').preview_url}` }
    const further = after(task(), progressed(0.1, elsewhere))
    expect(further).toMatchObject({ progress: 10 })
    expect(further?.preview).toBeUndefined()
  })

  it('keeps its preview when the document says no more than that it runs', () => {
    const seen = task({ status: 'processing', attempt: 1, progress: 40, preview: 'newest' })
    for (const [seq, progress] of [
      [1, 0],
      [2, 0],
      [5, 0],
      [5, 60],
    ]) {
      const fresh = task({ status: 'processing', attempt: 1, seq, progress })
      expect(later(seen, fresh)).toMatchObject({ preview: 'newest' })
    }
    expect(later(seen, task({ status: 'processing', attempt: 2, seq: 5 })).preview).toBeUndefined()
    expect(later(seen, task({ status: 'done', attempt: 1, seq: 5 })).preview).toBeUndefined()
    expect(later(seen, task({ taskId: 't-2', status: 'processing', attempt: 1, seq: 5 })).preview).toBeUndefined()
  })
})
