import { describe, expect, it } from 'vitest'

import { applied, rejected } from '../src/tasks/applying.ts'
import type { TaskDocument } from '../src/documents.ts'
import { ServiceStandIn } from './serviceStandIn.ts'
import { taskIdFor } from '../src/identifiers.ts'

const service = new ServiceStandIn()
const view = (change: object) => service.view('media-task-x', change)

function document(change: Partial<TaskDocument> = {}): TaskDocument {
  return {
    id: 1,
    project: 1,
    model: 'some-image',
    status: 'waiting',
    seq: 0,
    requestId: 'media-task-x',
    taskId: taskIdFor('p-1', 'media-task-x'),
    request: { project_id: 'p-1', model: 'some-image', params: {}, priority: 'medium', tags: [], client_ref: '' },
    createdAt: '',
    ...change,
  }
}

describe('the higher seq decides', () => {
  it('for a newer view', () => {
    const change = applied(document(), view({ seq: 3, status: 'processing', phase: 'generating', attempt: 1 }))
    expect(change).toMatchObject({ seq: 3, status: 'processing', phase: 'generating', attempt: 1 })
  })

  it.each([2, 3])('and against seq %i once 3 is known', (seq) => {
    expect(applied(document({ seq: 3, status: 'done' }), view({ seq, status: 'processing' }))).toBeUndefined()
  })

  it('also over an end, when the task was sent round again', () => {
    expect(applied(document({ seq: 3, status: 'failed' }), view({ seq: 4 }))).toMatchObject({ status: 'pending' })
  })
})

it('takes nothing of another task', () => {
  expect(applied(document(), { ...view({ seq: 9 }), id: taskIdFor('p-1', 'another') })).toBeUndefined()
})

describe('progress', () => {
  const progress = { step: 2, total: 10, fraction: 0.2, eta_seconds: 4 }

  it('is in percent, with the steps beside it', () => {
    const change = applied(document(), view({ attempt: 1, status: 'processing', progress }))
    expect(change).toMatchObject({ progress: 20, step: 2, steps: 10, etaSeconds: 4 })
  })

  it('only rises within an attempt', () => {
    const task = document({ seq: 2, attempt: 1, progress: 60 })
    expect(applied(task, view({ seq: 3, attempt: 1, status: 'processing', progress }))).toMatchObject({ progress: 60 })
  })

  it('begins anew with another attempt', () => {
    const task = document({ seq: 2, attempt: 1, progress: 60 })
    expect(applied(task, view({ seq: 3, attempt: 2, status: 'processing', progress }))).toMatchObject({ progress: 20 })
  })

  it('is complete in the end', () => {
    expect(applied(document(), view({ status: 'done' }))).toMatchObject({ progress: 100 })
  })
})

describe('a rejection', () => {
  const problem = {
    title: 'No',
    detail: 'not so',
    code: 'invalid-request',
    errors: [{ field: 'model', detail: 'unknown' }],
  }
  const rejection = { request_id: 'media-task-x', project_id: 'p-1', problem }

  it('tells why, field by field', () => {
    const error = { title: 'No', detail: 'not so\nmodel: unknown', code: 'invalid-request' }
    expect(rejected(document(), rejection)).toMatchObject({ status: 'rejected', error })
  })

  it('counts for nothing once the task exists', () => {
    expect(rejected(document({ seq: 1, status: 'pending' }), rejection)).toBeUndefined()
  })

  it('counts for nothing after the document has asked anew', () => {
    expect(rejected(document({ requestId: 'media-task-y' }), rejection)).toBeUndefined()
  })

  it('counts for nothing after a cancel', () => {
    expect(rejected(document({ status: 'cancelled' }), rejection)).toBeUndefined()
  })
})

it('keeps a cancel in mind that came before the service knew the task', () => {
  const task = document({ status: 'cancelled', cancelRequested: true })
  expect(applied(task, view({ seq: 1 }))).toMatchObject({ status: 'pending', cancelRequested: true })
})
