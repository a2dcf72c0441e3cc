import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { Id, ProjectDocument, TaskDocument } from '../src/documents.ts'
import { PNG } from './examples.ts'
import { PayloadUnderTest, type Person } from './payloadUnderTest.ts'

const under = new PayloadUnderTest()
let member: Person
let stranger: Person
let own: ProjectDocument
let foreign: ProjectDocument
let task: TaskDocument
let foreignTask: TaskDocument

beforeAll(async () => {
  await under.start()
  member = await under.person('member@example.com')
  stranger = await under.person('stranger@example.com')
  own = await under.project('p-1', [member])
  foreign = await under.project('p-2', [stranger])
  task = await under.task(own)
  foreignTask = await under.task(foreign)
})
afterAll(() => under.stop())

async function upload(
  person: Person,
  project: Id,
): Promise<{ status: number; body: { doc: { id: Id; filename: string } } }> {
  const form = new FormData()
  form.append('_payload', JSON.stringify({ project }))
  form.append('file', new Blob([new Uint8Array(PNG)], { type: 'image/png' }), 'picture.png')
  return under.call(person, 'POST', '/media', form)
}

describe('a member', () => {
  it('sees the tasks and projects that are theirs, and no others', async () => {
    const tasks = await under.call(member, 'GET', '/media-tasks?depth=0')
    expect(tasks.body.docs.map(({ id }: TaskDocument) => id)).toEqual([task.id])
    const projects = await under.call(member, 'GET', '/projects?depth=0')
    expect(projects.body.docs.map(({ id }: ProjectDocument) => id)).toEqual([own.id])
  })

  it('asks in their project, and in no other', async () => {
    expect((await under.ask(own, {}, member)).status).toBe(201)
    expect((await under.ask(foreign, {}, member)).status).toBe(403)
  })

  it('does not get at what is another project’s', async () => {
    for (const [method, path] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['POST', '/cancel'],
      ['POST', '/retry'],
      ['POST', '/prioritise'],
      ['POST', '/duplicate'],
      ['POST', '/refresh'],
      ['GET', '/result'],
    ] as const) {
      const { status } = await under.call(
        member,
        method,
        `/media-tasks/${foreignTask.id}${path}`,
        method === 'GET' ? undefined : {},
      )
      expect(`${method} ${path} ${status}`).toMatch(/40[34]$/)
    }
    for (const path of ['models', 'live']) {
      expect((await under.call(member, 'GET', `/media-tasks/${path}?project=${foreign.id}`)).status).toBe(404)
    }
    expect(await under.read(foreignTask)).toMatchObject({ status: 'waiting' })
  })

  it('does not move a task to another project', async () => {
    await under.call(member, 'PATCH', `/media-tasks/${task.id}`, { project: foreign.id, title: 'moved?' })
    expect(await under.read(task)).toMatchObject({ project: own.id })
  })

  it('does not write what the service tells', async () => {
    const told = {
      status: 'done',
      phase: 'done',
      progress: 100,
      seq: 99,
      taskId: 'x',
      requestId: 'x',
      results: [{ mediaId: 'm', contentType: 'image/png' }],
      error: { title: 'x' },
      request: { project_id: 'p-2' },
      cancelRequested: true,
    }
    await under.call(member, 'PATCH', `/media-tasks/${task.id}`, told)
    const made = (await under.ask(own, told, member)).body.doc as TaskDocument
    for (const one of [task, made]) {
      const kept = await under.read(one)
      expect(kept).toMatchObject({ status: 'waiting', seq: 0, results: [], cancelRequested: false })
      expect(kept.request.project_id).toBe('p-1')
      expect(kept.taskId).toBe(one.taskId)
    }
  })

  it('does not change projects, keys and members', async () => {
    expect((await under.call(member, 'PATCH', `/projects/${own.id}`, { apiKey: 'k' })).status).toBe(403)
    expect((await under.call(member, 'PATCH', `/projects/${foreign.id}`, { members: [member.id] })).status).toBe(403)
    expect((await under.call(member, 'POST', '/projects', { name: 'x', serviceProject: 'x' })).status).toBe(403)
    expect((await under.call(member, 'DELETE', `/projects/${own.id}`)).status).toBe(403)
  })

  it('finds out nothing about keys and secrets by asking for documents that have them', async () => {
    for (const field of ['encryptedKey', 'apiKey', 'connection.encryptedSecrets', 'connection.endpointId']) {
      const answer = await under.call(member, 'GET', `/projects?where[${field}][exists]=true`)
      expect([field, answer.status]).toEqual([field, 400])
    }
    const through = await under.call(member, 'GET', '/media-tasks?where[project.encryptedKey][exists]=true')
    expect(through.status).toBe(400)
  })

  it('uses media of their own project only', async () => {
    const mine = (await upload(member, own.id)).body.doc
    const theirs = (await upload(stranger, foreign.id)).body.doc
    const ask = (media: Id) => under.ask(own, { model: 'some-edit', inputs: [{ name: 'image', media }] }, member)
    expect((await ask(mine.id)).status).toBe(201)
    const { status, body } = await ask(theirs.id)
    expect(status).toBe(400)
    expect(JSON.stringify(body)).toContain('inputs.0.media')
    expect((await under.call(member, 'GET', `/media/file/${theirs.filename}`)).status).not.toBe(200)
    expect((await upload(member, foreign.id)).status).toBe(403)
  })

  it('of another project’s media does not even as an admin make an input', async () => {
    const theirs = (await upload(stranger, foreign.id)).body.doc
    const { status } = await under.ask(own, { model: 'some-edit', inputs: [{ name: 'image', media: theirs.id }] })
    expect(status).toBe(400)
  })

  it('does not make themselves an admin', async () => {
    await under.call(member, 'PATCH', `/users/${member.id}`, { roles: ['admin'] })
    expect((await under.call(member, 'GET', '/media-tasks')).body.docs).not.toContainEqual(
      expect.objectContaining({ id: foreignTask.id }),
    )
  })
})

describe('nobody', () => {
  it('without a login gets anything', async () => {
    for (const path of ['/media-tasks', '/projects', '/media', `/media-tasks/${task.id}/result`]) {
      expect((await under.call(undefined, 'GET', path)).status).toBe(403)
    }
    const asked = { project: own.id, model: 'some-image', prompt: 'x' }
    expect((await under.call(undefined, 'POST', '/media-tasks', asked)).status).toBe(403)
  })

  it('reads or writes what the plugin keeps for itself', async () => {
    for (const slug of ['media-tasks-events', 'media-tasks-uploads', 'payload-jobs']) {
      expect((await under.call(under.admin, 'GET', `/${slug}`)).status).toBe(403)
      const forged = { key: 'k', requestId: task.requestId, type: 'task.view', seq: 9, mediaId: 'm' }
      expect((await under.call(under.admin, 'POST', `/${slug}`, forged)).status).toBe(403)
    }
  })
})

it('an admin sees everything', async () => {
  const { body } = await under.call(under.admin, 'GET', '/media-tasks?depth=0&limit=100')
  const seen = body.docs.map(({ id }: TaskDocument) => id) as Id[]
  expect(seen).toEqual(expect.arrayContaining([task.id, foreignTask.id]))
})
