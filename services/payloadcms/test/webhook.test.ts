import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'

import type { ProjectDocument, TaskDocument } from '../src/documents.ts'
import { PayloadUnderTest } from './payloadUnderTest.ts'

const under = new PayloadUnderTest()
let project: ProjectDocument
let task: TaskDocument

beforeAll(async () => {
  await under.start()
  project = await under.project('p-1')
  await under.project('p-2')
})
afterAll(() => under.stop())
beforeEach(async () => {
  vi.restoreAllMocks()
  await under.runJobs()
  under.service.asked.length = 0
  task = await under.task(project)
})

function view(change: object = {}, of = task) {
  return under.service.view(of.requestId, change)
}

const RESULT = { id: 'm-1', content_type: 'image/png', size: 70, width: 8, height: 8, thumbnail_url: '/t' }

describe('what the service tells', () => {
  it('moves the document', async () => {
    const progress = { step: 3, total: 12, fraction: 0.25, eta_seconds: 2 }
    await under.hear(task, 'task.processing.v1', {
      seq: 3,
      status: 'processing',
      phase: 'generating',
      attempt: 1,
      progress,
    })
    expect(await under.read(task)).toMatchObject({
      status: 'processing',
      phase: 'generating',
      progress: 25,
      step: 3,
      steps: 12,
    })
    await under.hear(task, 'task.done.v1', { seq: 5, status: 'done', phase: 'done', attempt: 1, result: RESULT })
    expect(await under.read(task)).toMatchObject({
      status: 'done',
      progress: 100,
      results: [{ mediaId: 'm-1', contentType: 'image/png', size: 70, width: 8, hasThumbnail: true }],
    })
  })

  it('says when it will probably be done, and what becomes of the deadline', async () => {
    const estimate = { p50_at: '2040-01-01T00:00:00Z', p90_at: '2040-01-01T01:00:00Z' }
    await under.hear(task, 'task.queued.v1', { seq: 2, estimate, deadline: 'at_risk' })
    expect(await under.read(task)).toMatchObject({
      estimate: { p50At: '2040-01-01T00:00:00.000Z', p90At: '2040-01-01T01:00:00.000Z' },
      deadline: 'at_risk',
    })
  })

  describe('of a reminder', () => {
    const reminder = (at: string, more: object = {}) => ({
      project_id: 'p-1',
      task_id: task.taskId,
      client_ref: task.requestId,
      status: 'pending',
      phase: 'queued',
      at,
      ...more,
    })
    const tell = (data: object, id: string) => under.send(under.service.signed('task.reminder.v1', data, { id }))

    it('is listed in the document, once however often it is sent, in the order of their moments', async () => {
      const late = reminder('2040-01-01T02:00:00Z', { late_seconds: 90 })
      const note = reminder('2040-01-01T01:00:00Z', { note: 'call the studio' })
      const sent = [tell(late, 'r-2'), tell(late, 'r-2'), tell(note, 'r-1')]
      expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200, 200])
      expect((await under.read(task)).reminded).toMatchObject([
        { at: '2040-01-01T01:00:00Z', note: 'call the studio', lateSeconds: null },
        { at: '2040-01-01T02:00:00Z', note: null, lateSeconds: 90 },
      ])
    })

    it('changes nothing else of it', async () => {
      await under.hear(task, 'task.queued.v1', { seq: 2 })
      await tell(reminder('2040-01-01T00:00:00Z'), 'r-3')
      await under.hear(task, 'task.processing.v1', { seq: 3, status: 'processing', phase: 'generating' })
      expect(await under.read(task)).toMatchObject({ seq: 3, status: 'processing', reminded: [{}] })
    })

    it.each([
      ['another task', { task_id: 'another' }, 200],
      ['no moment', { at: 'soon' }, 202],
    ])('of %s is let be', async (name, change, status) => {
      const answer = await tell({ ...reminder('2040-01-01T00:00:00Z'), ...change }, `r-${name}`)
      expect(answer.status).toBe(status)
      expect((await under.read(task)).reminded).toEqual([])
    })
  })

  it('explains a failure', async () => {
    const error = { title: 'Out of memory', detail: 'too large', code: 'out-of-memory' }
    await under.hear(task, 'task.failed.v1', { seq: 4, status: 'failed', phase: 'failed', error })
    expect(await under.read(task)).toMatchObject({ status: 'failed', error })
  })

  it('counts in the order of seq, however it arrives', async () => {
    await under.hear(task, 'task.done.v1', { seq: 5, status: 'done', phase: 'done', result: RESULT })
    const late = await under.hear(task, 'task.processing.v1', { seq: 3, status: 'processing', phase: 'generating' })
    expect(late.status).toBe(200)
    expect(await under.read(task)).toMatchObject({ status: 'done', seq: 5 })
  })

  it('counts in the order of seq also when it arrives at once', async () => {
    const all = [2, 3, 4, 5, 6, 7].map((seq) =>
      under.hear(task, 'task.processing.v1', { seq, status: seq === 7 ? 'done' : 'processing', phase: 'generating' }),
    )
    const statuses = (await Promise.all(all.toReversed())).map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([200]))
    expect(await under.read(task)).toMatchObject({ status: 'done', seq: 7 })
  })

  it('is heard once, however often it is sent', async () => {
    const { send, service } = { send: under.send.bind(under), service: under.service }
    const copies = [1, 2, 3, 4].map(() => send(service.signed('task.queued.v1', view({ seq: 2 }), { id: 'msg_same' })))
    expect((await Promise.all(copies)).map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const kept = await under.payload.count({
      collection: 'media-tasks-events',
      where: { requestId: { equals: task.requestId } },
    })
    expect(kept.totalDocs).toBe(1)
  })

  it('outlives a save that had read the document before', async () => {
    const findByID = under.payload.db.findOne.bind(under.payload.db)
    let told = false
    // Between the read and the write of somebody's save.
    vi.spyOn(under.payload.db, 'findOne').mockImplementation(async (asked) => {
      const found = await findByID(asked)
      if (!told && asked.collection === 'media-tasks') {
        told = true
        await under.hear(task, 'task.done.v1', { seq: 5, status: 'done', phase: 'done', result: RESULT })
      }
      return found
    })
    const { status } = await under.call(under.admin, 'PATCH', `/media-tasks/${task.id}`, { title: 'A title' })
    expect([status, told]).toEqual([200, true])
    expect(await under.read(task)).toMatchObject({ title: 'A title', status: 'done', seq: 5 })
  })
})

describe('is refused with 401', () => {
  it.each<[string, (request: Request) => Promise<Request>]>([
    ['no signature', async (request) => changed(request, { 'webhook-signature': undefined })],
    ['a forged signature', async (request) => changed(request, { 'webhook-signature': `v1,${'A'.repeat(43)}=` })],
    ['another id', async (request) => changed(request, { 'webhook-id': 'msg_other' })],
    ['another body', async (request) => changed(request, {}, (body) => body.replace('done', 'gone'))],
    ['a body that is no JSON', async (request) => changed(request, {}, () => '{')],
    ['a body about nobody', async (request) => changed(request, {}, () => '{"type":"task.done.v1","data":null}')],
  ])('%s', async (_what, spoil) => {
    const request = await spoil(under.service.signed('task.done.v1', view({ seq: 5, status: 'done' })))
    expect((await under.send(request)).status).toBe(401)
    expect(await under.read(task)).toMatchObject({ status: 'waiting', seq: 0 })
  })

  it.each([-6, 6])('what was signed %i minutes from now', async (minutes) => {
    const at = new Date(Date.now() + minutes * 60_000)
    const answer = await under.send(under.service.signed('task.done.v1', view({ seq: 5, status: 'done' }), { at }))
    expect(answer.status).toBe(401)
  })

  it('what another project has signed', async () => {
    const told = under.service.signed('task.done.v1', view({ seq: 5, status: 'done' }), { project: 'p-2' })
    expect((await under.send(told)).status).toBe(401)
  })
})

it('of another project never touches a document, whatever it claims', async () => {
  const claimed = { ...view({ seq: 5, status: 'done' }), project_id: 'p-2' }
  const answer = await under.send(under.service.signed('task.done.v1', claimed, { project: 'p-2' }))
  expect(answer.status).toBe(404)
  expect(await under.read(task)).toMatchObject({ status: 'waiting', seq: 0 })
})

it('that is too large is not read', async () => {
  const body = `{"type":"task.done.v1","data":{"project_id":"p-1","filler":"${'x'.repeat(300_000)}"}}`
  const { headers } = under.service.signed('task.done.v1', view())
  const answer = await under.send(
    new Request('http://payload.test/api/media-tasks/webhook', { method: 'POST', body, headers }),
  )
  expect(answer.status).toBe(413)
})

describe('needs no repetition', () => {
  it.each(['task.done.v2', 'something.else.v1', 'task.renamed.v1'])('of type %s', async (type) => {
    expect((await under.send(under.service.signed(type, { project_id: 'p-1', task: 1 }))).status).toBe(202)
  })

  it('but asks whether somebody is there', async () => {
    const ping = (endpoint_id: unknown) => under.service.signed('webhook.ping.v1', { endpoint_id })
    expect((await under.send(ping(under.service.endpoints[0]?.id))).status).toBe(202)
    expect((await under.send(ping(under.service.endpoints[1]?.id))).status).toBe(401)
    expect((await under.send(ping({ like: '%' }))).status).toBe(401)
  })

  it('about a task that was not asked for here', async () => {
    const other = { ...view(), client_ref: 'of-another-client' }
    expect((await under.send(under.service.signed('task.done.v1', other))).status).toBe(200)
    expect((await under.send(under.service.signed('task.done.v1', { ...view(), client_ref: null }))).status).toBe(200)
  })

  it('about a task of which another client claims that it was asked for by this document', async () => {
    const other = { ...view({ seq: 9, status: 'done' }), id: '00000000-0000-5000-8000-000000000000' }
    expect((await under.send(under.service.signed('task.done.v1', other))).status).toBe(200)
    expect(await under.read(task)).toMatchObject({ status: 'waiting' })
  })

  it('about a document of long ago that is not known here', async () => {
    const other = under.service.view('media-task-unknown', { created_at: '2020-01-01T00:00:00Z' })
    expect((await under.send(under.service.signed('task.done.v1', other))).status).toBe(200)
  })

  it('about a document that was deleted, and its task is cancelled', async () => {
    under.service.tasks.set(task.taskId, view({ seq: 1 }))
    await under.payload.delete({ collection: 'media-tasks', id: task.id })
    await under.runJobs()
    under.service.asked.length = 0
    expect((await under.hear(task, 'task.queued.v1', { seq: 2 })).status).toBe(200)
    await under.runJobs()
    expect(under.service.paths('DELETE')).toEqual([`/api/v1/tasks/${task.taskId}/cancel`])
  })
})

describe('has to come again', () => {
  it('about a document that may not be committed yet', async () => {
    const told = under.service.signed('task.queued.v1', under.service.view('media-task-not-yet'))
    expect((await under.send(told)).status).toBe(404)
  })

  it('when it could not be written, and is not lost then', async () => {
    const id = 'msg_again'
    vi.spyOn(under.payload.db, 'updateOne').mockRejectedValueOnce(new Error('the disk is full'))
    expect((await under.hear(task, 'task.queued.v1', { seq: 2 }, { id })).status).toBe(500)
    expect((await under.hear(task, 'task.queued.v1', { seq: 2 }, { id })).status).toBe(200)
    expect(await under.read(task)).toMatchObject({ status: 'pending', seq: 2 })
  })
})

async function changed(
  request: Request,
  headers: Record<string, string | undefined>,
  spoil: (body: string) => string = (body) => body,
): Promise<Request> {
  const kept = new Headers(request.headers)
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) kept.delete(name)
    else kept.set(name, value)
  }
  return new Request(request.url, { method: 'POST', body: spoil(await request.text()), headers: kept })
}
