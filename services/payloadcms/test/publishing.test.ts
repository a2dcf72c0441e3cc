import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import type { ProjectDocument, TaskDocument } from '../src/documents.ts'
import { taskIdFor } from '../src/identifiers.ts'
import { queuePublish } from '../src/jobs/queueing.ts'
import { PNG } from './examples.ts'
import { PayloadUnderTest } from './payloadUnderTest.ts'

const under = new PayloadUnderTest()
let project: ProjectDocument

beforeAll(async () => {
  await under.start()
  project = await under.project()
})
afterAll(() => under.stop())
beforeEach(async () => {
  await under.runJobs()
  under.service.published.length = 0
  under.service.uploads.length = 0
  under.service.refusals = []
  under.service.away = false
})

async function picture(more: Buffer = Buffer.alloc(0)): Promise<{ id: number }> {
  const file = { data: Buffer.concat([PNG, more]), mimetype: 'image/png', name: 'picture.png', size: PNG.length }
  return (await under.payload.create({ collection: 'media', data: { project: project.id }, file })) as never
}

function ids(): unknown[] {
  return under.service.published.map(({ id }) => id)
}

describe('a document', () => {
  it('is published as an event of its own id, with everything it says', async () => {
    const task = await under.task(project, {
      title: 'A circle',
      params: { width: 64 },
      priority: 'high',
      tags: ['one', 'two'],
      expiresAt: '2030-01-01T00:00:00.000Z',
    })
    expect(under.service.published).toMatchObject([
      {
        specversion: '1.0',
        id: task.requestId,
        type: 'task.requested.v1',
        data: {
          project_id: 'p-1',
          model: 'some-image',
          params: { prompt: 'a red circle', width: 64 },
          inputs: {},
          priority: 'high',
          tags: ['one', 'two'],
          title: 'A circle',
          expires_at: '2030-01-01T00:00:00.000Z',
          client_ref: task.requestId,
        },
      },
    ])
    expect(under.service.asked.findLast(({ path }) => path.startsWith('/v1.0'))?.headers).toMatchObject({
      'content-type': 'application/cloudevents+json',
      'dapr-api-token': 'dapr-token',
    })
  })

  it('says when it is to start, when it is needed and when to be reminded', async () => {
    const times = { startAt: '2040-01-01T00:00:00.000Z', dueAt: '2040-01-02T00:00:00.000Z' }
    const reminders = [{ at: '2040-01-01T12:00:00.000Z', note: 'call' }, { minutesBeforeDue: 90 }]
    await under.task(project, { ...times, reminders })
    expect(under.service.published.at(-1)).toMatchObject({
      data: {
        start_at: times.startAt,
        due_at: times.dueAt,
        reminders: [{ at: '2040-01-01T12:00:00.000Z', note: 'call' }, { before_due_seconds: 5400 }],
      },
    })
  })

  it('is refused with times that cannot be', async () => {
    const { status, body } = await under.ask(project, { dueAt: '2020-01-01T00:00:00.000Z' })
    expect(status).toBe(400)
    expect(JSON.stringify(body)).toContain('dueAt')
  })

  it('knows its task and its medium, and waits until it hears of it', async () => {
    const task = await under.task(project)
    expect(await under.read(task)).toMatchObject({
      status: 'waiting',
      medium: 'image',
      taskId: taskIdFor('p-1', task.requestId),
    })
  })

  it('is published by nobody before its job runs', async () => {
    await under.ask(project)
    expect(under.service.published).toEqual([])
    await under.runJobs()
    expect(under.service.published).toHaveLength(1)
  })

  it('takes the trace of the request along', async () => {
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
    const request = new Request('http://payload.test/api/media-tasks', {
      method: 'POST',
      headers: { authorization: `JWT ${under.admin.token}`, 'content-type': 'application/json', traceparent },
      body: JSON.stringify({ project: project.id, model: 'some-image', prompt: 'x' }),
    })
    await under.send(request)
    await under.runJobs()
    expect(under.service.published).toMatchObject([{ traceparent, traceid: traceparent }])
  })

  it.each(['no-trace', `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`, 'x'.repeat(5000)])(
    'leaves out what is no trace: %.30s',
    async (traceparent) => {
      const headers = { authorization: `JWT ${under.admin.token}`, 'content-type': 'application/json', traceparent }
      const body = JSON.stringify({ project: project.id, model: 'some-image', prompt: 'x' })
      await under.send(new Request('http://payload.test/api/media-tasks', { method: 'POST', headers, body }))
      await under.runJobs()
      expect(under.service.published).toHaveLength(1)
      expect(under.service.published[0]).not.toHaveProperty('traceparent')
    },
  )
})

describe('a sidecar that is away', () => {
  it('is tried again with the same event', async () => {
    under.service.refusals = [500, 503]
    const task = await under.task(project)
    await under.hurry()
    await under.hurry()
    expect(ids()).toEqual([task.requestId])
  })

  it('for too long leaves the document unpublished, until somebody retries', async () => {
    under.service.refusals = [500, 500, 500]
    const task = await under.task(project)
    await under.hurry()
    await under.hurry()
    const given = await under.read(task)
    expect(given).toMatchObject({ status: 'unpublished', error: { code: 'unpublished' } })
    const answer = await under.call(under.admin, 'POST', `/media-tasks/${task.id}/retry`)
    expect(answer.body).toMatchObject({ doc: { status: 'waiting', error: { title: null } } })
    await under.runJobs()
    expect(ids()).toEqual([task.requestId])
  })

  it('that had heard after all is believed', async () => {
    under.service.refusals = [500, 500, 500]
    const task = await under.task(project)
    await under.hurry()
    await under.hurry()
    await under.hear(task, 'task.queued.v1', { seq: 2 })
    expect(await under.read(task)).toMatchObject({ status: 'pending', error: { title: null } })
  })
})

describe('is refused before anything is saved', () => {
  it.each<[string, string, object]>([
    ['a model', 'model', { model: 'another' }],
    ['no prompt', 'prompt', { prompt: '' }],
    ['a parameter', 'params.width', { params: { width: 1 } }],
    ['parameters that are a list', 'params', { params: [1] }],
    ['parameters without end', 'params', { params: { negative_prompt: 'x'.repeat(40_000) } }],
    ['a sixth tag', 'tags', { tags: ['1', '2', '3', '4', '5', '6'] }],
    ['a missing input', 'inputs', { model: 'some-edit' }],
  ])('%s', async (_what, path, wrong) => {
    const before = (await under.jobs('mediaTasksPublish')).length
    const { status, body } = await under.ask(project, wrong)
    expect(status).toBe(400)
    const { errors } = body as { errors: { data: { errors: { path: string }[] } }[] }
    expect(errors[0]?.data.errors.map((error) => error.path)).toContain(path)
    expect((await under.jobs('mediaTasksPublish')).length).toBe(before)
  })

  it('for a project without a key', async () => {
    const { doc } = (await under.call(under.admin, 'POST', '/projects', { name: 'K', serviceProject: 'k' })).body as {
      doc: ProjectDocument
    }
    const { status, body } = await under.ask(doc)
    expect(status).toBe(400)
    expect(JSON.stringify(body)).toContain('K has no API key')
  })
})

describe('while the service is away', () => {
  it('requests are checked by the catalog as it was', async () => {
    await under.task(project)
    under.service.away = true
    expect((await under.ask(project, { params: { width: 1 } })).status).toBe(400)
    expect((await under.ask(project)).status).toBe(201)
  })

  it('and was never there, the service judges when it is back', async () => {
    const other = await under.project('p-2')
    under.service.away = true
    const { status, body } = await under.ask(other, { params: { width: 1 } })
    expect(status).toBe(201)
    await under.runJobs()
    expect(ids()).toEqual([(body as { doc: TaskDocument }).doc.requestId])
  })
})

describe('inputs', () => {
  it('are uploaded once, and named in the event', async () => {
    const media = await picture()
    const again = await picture()
    for (const { id } of [media, again]) {
      await under.task(project, { model: 'some-edit', inputs: [{ name: 'image', media: id }] })
    }
    const [mediaId] = under.service.uploads
    expect(under.service.uploads).toHaveLength(1)
    expect(under.service.published).toMatchObject([
      { data: { inputs: { image: mediaId } } },
      { data: { inputs: { image: mediaId } } },
    ])
  })

  it('are the same in every copy of the event, also of jobs that run twice', async () => {
    const { id } = await picture(Buffer.from('twice'))
    const { body } = await under.ask(project, { model: 'some-edit', inputs: [{ name: 'image', media: id }] })
    await queuePublish(under.payload, (body as { doc: TaskDocument }).doc.id)
    await under.runJobs()
    expect(under.service.published).toHaveLength(2)
    const [one, another] = under.service.published as { data: unknown }[]
    expect(another?.data).toEqual(one?.data)
  })

  it('that are another file are another upload', async () => {
    const { id } = await picture(Buffer.from('more'))
    await under.task(project, { model: 'some-edit', inputs: [{ name: 'image', media: id }] })
    expect(under.service.uploads).toHaveLength(1)
  })
})

describe('what was asked', () => {
  it('stays as it was asked', async () => {
    const task = await under.task(project)
    const { status, body } = await under.call(under.admin, 'PATCH', `/media-tasks/${task.id}`, { prompt: 'blue' })
    expect(status).toBe(400)
    expect(JSON.stringify(body)).toContain('Cannot be changed once it is asked for')
  })

  it('may be called something else', async () => {
    const task = await under.task(project)
    const { status } = await under.call(under.admin, 'PATCH', `/media-tasks/${task.id}`, { title: 'Blue' })
    expect(status).toBe(200)
    expect(await under.read(task)).toMatchObject({ title: 'Blue', requestId: task.requestId, status: 'waiting' })
  })

  it('and was refused may be changed, and is sent under another id once somebody retries', async () => {
    const task = await under.task(project)
    const problem = { title: 'No', detail: 'not so', code: 'invalid-request' }
    const rejection = { request_id: task.requestId, project_id: 'p-1', client_ref: task.requestId, problem }
    await under.send(under.service.signed('task.rejected.v1', rejection))
    expect(await under.read(task)).toMatchObject({ status: 'rejected', error: { detail: 'not so' } })
    await under.call(under.admin, 'PATCH', `/media-tasks/${task.id}`, { prompt: 'blue' })
    await under.runJobs()
    expect(under.service.published).toHaveLength(1)
    expect(await under.read(task)).toMatchObject({ status: 'rejected', error: { detail: 'not so' } })
    await under.call(under.admin, 'POST', `/media-tasks/${task.id}/retry`)
    await under.runJobs()
    const anew = await under.read(task)
    expect(anew.requestId).not.toBe(task.requestId)
    expect(under.service.published[1]).toMatchObject({ id: anew.requestId, data: { params: { prompt: 'blue' } } })
  })
})
