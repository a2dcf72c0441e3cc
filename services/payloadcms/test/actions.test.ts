import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import type { ProjectDocument, TaskDocument } from '../src/documents.ts'
import { PayloadUnderTest, type Answer } from './payloadUnderTest.ts'

const under = new PayloadUnderTest()
let project: ProjectDocument
let task: TaskDocument

beforeAll(async () => {
  await under.start()
  project = await under.project()
})
afterAll(() => under.stop())
beforeEach(async () => {
  under.service.away = false
  under.service.refusals = []
  under.service.published.length = 0
  under.service.asked.length = 0
  task = await under.task(project, { params: { width: 64, seed: 7 }, title: 'A circle', tags: ['one'] })
})

async function act(action: string, data?: object): Promise<Answer> {
  return under.call(under.admin, 'POST', `/media-tasks/${task.id}/${action}`, data)
}

/** The service has the task so, and has told. */
async function told(change: object): Promise<void> {
  const view = under.service.view(task.requestId, change)
  under.service.tasks.set(view.id, view)
  await under.send(under.service.signed('task.queued.v1', view))
}

describe('cancel', () => {
  it('stops a task in the service', async () => {
    await told({ seq: 2 })
    const { status, body } = await act('cancel')
    expect([status, body.doc.status]).toEqual([200, 'cancelled'])
  })

  it('of what the service has not heard of holds, also when it hears of it after all', async () => {
    const { body } = await act('cancel')
    expect(body.doc.status).toBe('cancelled')
    await under.runJobs()
    await told({ seq: 1 })
    expect(await under.read(task)).toMatchObject({ status: 'pending', cancelRequested: true })
    await under.runJobs()
    expect(under.service.tasks.get(task.taskId)?.status).toBe('cancelled')
  })

  it('of what is not published yet keeps it from being published', async () => {
    const asked = (await under.ask(project)).body.doc as TaskDocument
    under.service.published.length = 0
    await under.call(under.admin, 'POST', `/media-tasks/${asked.id}/cancel`)
    await under.runJobs()
    expect(under.service.published).toEqual([])
  })

  it('of what has ended is refused', async () => {
    await told({ seq: 5, status: 'done', phase: 'done' })
    const { status, body } = await act('cancel')
    expect(status).toBe(409)
    expect(body.errors[0].message).toBe('A task that is done cannot be asked to cancel.')
  })

  it('says so when the service is away', async () => {
    await told({ seq: 2 })
    under.service.away = true
    expect((await act('cancel')).status).toBe(503)
  })
})

describe('retry', () => {
  it('sends a failed task round again', async () => {
    await told({ seq: 5, status: 'failed', phase: 'failed', error: { title: 'No', detail: 'no', code: 'x' } })
    const { status, body } = await act('retry')
    expect(status).toBe(200)
    expect(body.doc).toMatchObject({ status: 'pending', seq: 6, error: { title: null } })
  })

  it('of what was cancelled before the service knew it asks again', async () => {
    await act('cancel')
    await under.runJobs()
    under.service.published.length = 0
    expect((await act('retry')).body.doc).toMatchObject({ status: 'waiting', cancelRequested: false })
    await under.runJobs()
    const anew = await under.read(task)
    expect(under.service.published).toMatchObject([{ id: anew.requestId }])
    expect(anew.requestId).not.toBe(task.requestId)
  })

  it('leaves a first request that is heard of only then', async () => {
    await act('cancel')
    await under.runJobs()
    await act('retry')
    await told({ seq: 1 })
    await under.runJobs()
    expect(under.service.tasks.get(task.taskId)?.status).toBe('cancelled')
    expect(await under.read(task)).toMatchObject({ status: 'waiting', seq: 0 })
  })
})

describe('prioritise', () => {
  it('gives a waiting task another priority', async () => {
    await told({ seq: 2 })
    const { status, body } = await act('prioritise', { priority: 'high' })
    expect([status, body.doc.priority]).toEqual([200, 'high'])
    expect(under.service.tasks.get(task.taskId)?.priority).toBe('high')
  })

  it.each([{}, { priority: 'urgent' }])('wants one that there is: %j', async (data) => {
    await told({ seq: 2 })
    expect((await act('prioritise', data)).status).toBe(400)
  })
})

describe('duplicate', () => {
  it('makes a document of its own, without the seed and the life of the first', async () => {
    await told({ seq: 5, status: 'done', phase: 'done' })
    const { status, body } = await act('duplicate')
    expect(status).toBe(201)
    expect(body.doc).toMatchObject({
      status: 'waiting',
      params: { width: 64 },
      title: 'A circle',
      tags: ['one'],
      seq: 0,
    })
    expect(body.doc.params).not.toHaveProperty('seed')
    expect(body.doc.requestId).not.toBe(task.requestId)
  })
})

describe('refresh', () => {
  it('asks the service, and heeds seq', async () => {
    await told({ seq: 5, status: 'processing', phase: 'generating' })
    under.service.tasks.set(task.taskId, under.service.view(task.requestId, { seq: 3 }))
    expect((await act('refresh')).body.doc).toMatchObject({ status: 'processing', seq: 5 })
    under.service.tasks.set(task.taskId, under.service.view(task.requestId, { seq: 7, status: 'done', phase: 'done' }))
    expect((await act('refresh')).body.doc).toMatchObject({ status: 'done', seq: 7 })
  })

  it('publishes once more what the service does not know', async () => {
    under.service.published.length = 0
    expect((await act('refresh')).status).toBe(200)
    await under.runJobs()
    expect(under.service.published).toMatchObject([{ id: task.requestId }])
  })
})

describe('the result', () => {
  const result = { id: 'm-1', content_type: 'image/png', size: 70 }
  const open = (query = '') => under.call(under.admin, 'GET', `/media-tasks/${task.id}/result${query}`)

  it('is opened through a link for a short while, without a key in it', async () => {
    await told({ seq: 5, status: 'done', phase: 'done', result })
    const { status, headers } = await open()
    expect([status, headers.get('cache-control')]).toEqual([302, 'no-store'])
    expect(headers.get('location')).toBe(`${under.service.url}/files/m-1?signature=s`)
    expect((await open('?thumbnail=1')).headers.get('location')).toContain('/files/m-1/thumbnail?')
  })

  it('is not there before it is', async () => {
    expect((await open()).status).toBe(404)
  })

  it('without a thumbnail has none', async () => {
    await told({ seq: 5, status: 'done', phase: 'done', result })
    under.service.link = { url: '/files/m-1', thumbnail_url: null }
    expect((await open('?thumbnail=1')).status).toBe(404)
    under.service.link = undefined
  })
})

describe('for the admin panel', () => {
  it('there is the catalog, by medium if asked', async () => {
    const { body } = await under.call(under.admin, 'GET', `/media-tasks/models?project=${project.id}`)
    expect(body.models).toHaveLength(3)
    const sounds = await under.call(under.admin, 'GET', `/media-tasks/models?project=${project.id}&medium=audio`)
    expect(sounds.body.models).toMatchObject([{ key: 'some-sound' }])
  })

  it('there is the live feed, by a ticket', async () => {
    const { body, headers } = await under.call(under.admin, 'GET', `/media-tasks/live?project=${project.id}`)
    expect(body).toEqual({ url: `${under.service.url}/api/v1/live/projects/p-1?ticket=t` })
    expect(headers.get('cache-control')).toBe('no-store')
  })

  it('it is said when there is no project, and when there is no service', async () => {
    expect((await under.call(under.admin, 'GET', '/media-tasks/models')).status).toBe(400)
    expect((await under.call(under.admin, 'GET', '/media-tasks/models?project=999')).status).toBe(404)
    under.service.away = true
    expect((await under.call(under.admin, 'GET', `/media-tasks/live?project=${project.id}`)).status).toBe(503)
  })
})
