import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'

import type { ProjectDocument, TaskDocument } from '../src/documents.ts'
import { QUEUE } from '../src/options.ts'
import { RECONCILE } from '../src/jobs/queueing.ts'
import { PayloadUnderTest } from './payloadUnderTest.ts'

const under = new PayloadUnderTest()
const LONG_AGO = new Date(Date.now() - 3_600_000).toISOString()
let project: ProjectDocument
let task: TaskDocument

beforeAll(async () => {
  await under.start()
  project = await under.project()
})
afterAll(() => under.stop())
beforeEach(async () => {
  under.service.away = false
  await under.payload.delete({ collection: 'media-tasks', where: {} })
  await under.runJobs()
  task = await under.task(project)
  under.service.asked.length = 0
  under.service.published.length = 0
})

async function reconcile(): Promise<void> {
  await under.payload.jobs.queue({ task: RECONCILE as never, input: {}, queue: QUEUE })
  await under.runJobs()
}

it('asks for a task of which nothing was heard for long', async () => {
  await under.write(task, { heardAt: LONG_AGO })
  under.service.tasks.set(task.taskId, under.service.view(task.requestId, { seq: 5, status: 'done', phase: 'done' }))
  await reconcile()
  expect(await under.read(task)).toMatchObject({ status: 'done', seq: 5 })
})

it('asks once, and then not before it is silent again', async () => {
  await under.write(task, { heardAt: LONG_AGO })
  under.service.tasks.set(task.taskId, under.service.view(task.requestId, { seq: 2 }))
  await reconcile()
  await reconcile()
  expect(under.service.paths('GET')).toEqual([`/api/v1/tasks/${task.taskId}/status`])
})

it('publishes again, under the same id, what the service has never heard of', async () => {
  await under.write(task, { heardAt: LONG_AGO })
  await under.payload.delete({ collection: 'payload-jobs', where: {} })
  await reconcile()
  expect(under.service.published).toMatchObject([{ id: task.requestId }])
})

it('does so soon for what nobody has answered', async () => {
  const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString()
  await under.payload.delete({ collection: 'payload-jobs', where: {} })
  await under.write(task, { heardAt: ago(50) })
  await reconcile()
  expect(under.service.published).toEqual([])
  await under.write(task, { heardAt: ago(70) })
  await reconcile()
  expect(under.service.published).toMatchObject([{ id: task.requestId }])
})

it('leaves alone what was heard of, and what has ended', async () => {
  await reconcile()
  await under.hear(task, 'task.done.v1', { seq: 5, status: 'done', phase: 'done' })
  await under.write(task, { heardAt: LONG_AGO })
  await reconcile()
  expect(under.service.asked).toEqual([])
})

it('waits for a service that is away, and asks it one question', async () => {
  const other = await under.task(project)
  for (const one of [task, other]) await under.write(one, { heardAt: LONG_AGO })
  under.service.away = true
  under.service.asked.length = 0
  under.service.published.length = 0
  await reconcile()
  expect(under.service.asked).toHaveLength(1)
  under.service.away = false
  await reconcile()
  expect(under.service.published).toHaveLength(2)
})

it('connects a project whose service was away', async () => {
  under.service.away = true
  const { body } = await under.call(under.admin, 'POST', '/projects', {
    name: 'two',
    serviceProject: 'p-2',
    apiKey: 'key-2',
  })
  await under.runJobs()
  const { id } = body.doc as ProjectDocument
  await under.payload.delete({ collection: 'payload-jobs', where: {} })
  const connection = { state: 'unreachable', checkedAt: LONG_AGO }
  await under.payload.update({ collection: 'projects', id, data: { connection }, context: { mediaTasksOwn: true } })
  under.service.away = false
  await reconcile()
  expect(await under.payload.findByID({ collection: 'projects', id })).toMatchObject({
    connection: { state: 'connected' },
  })
})

it('forgets events that nobody repeats any more', async () => {
  await under.hear(task, 'task.queued.v1', { seq: 2 })
  const old = await under.payload.create({
    collection: 'media-tasks-events',
    data: { key: 'old', requestId: 'r', type: 't', seq: 1, createdAt: '2020-01-01T00:00:00Z' },
  })
  await reconcile()
  const left = await under.payload.find({ collection: 'media-tasks-events', pagination: false })
  expect(left.docs.map(({ id }) => id)).not.toContain(old.id)
  expect(left.docs.map((event) => (event as unknown as { requestId: string }).requestId)).toContain(task.requestId)
})

it('is scheduled by itself', async () => {
  await under.payload.jobs.handleSchedules({ queue: QUEUE })
  expect(await under.jobs(RECONCILE)).toHaveLength(1)
})
