import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import type { Id, ProjectDocument } from '../src/documents.ts'
import { PayloadUnderTest } from './payloadUnderTest.ts'

const under = new PayloadUnderTest()
let project: ProjectDocument

beforeAll(() => under.start())
afterAll(() => under.stop())
beforeEach(async () => {
  await under.payload.delete({ collection: 'projects', where: {} })
  under.service.endpoints.length = 0
  under.service.asked.length = 0
  under.service.away = false
  project = await under.project()
})

async function read(id: Id = project.id): Promise<ProjectDocument> {
  const found = await under.payload.findByID({ collection: 'projects', id, depth: 0, showHiddenFields: true })
  return found as unknown as ProjectDocument
}

async function change(data: object): Promise<void> {
  await under.call(under.admin, 'PATCH', `/projects/${project.id}`, data)
  await under.runJobs()
}

describe('a key', () => {
  it('connects the project, and the service knows where to report to', async () => {
    expect((await read()).connection).toMatchObject({ state: 'connected', detail: null })
    expect(under.service.endpoints).toMatchObject([
      { url: 'http://payload.test/api/media-tasks/webhook', events: ['task.*'], enabled: true },
    ])
  })

  it('is kept encrypted, and the signing secret too', async () => {
    const kept = JSON.stringify(await read())
    expect(kept).not.toContain('key-1')
    expect(kept).not.toContain(under.service.endpoints[0]?.secret)
    const { encryptedKey } = await read()
    expect(under.payload.decrypt(encryptedKey ?? '')).toBe('key-1')
  })

  it('is given out by no API', async () => {
    const answer = await under.call(
      under.admin,
      'GET',
      `/projects/${project.id}?showHiddenFields=true&select[encryptedKey]=true`,
    )
    expect(JSON.stringify(answer.body)).not.toMatch(/key|secret/i)
    expect(JSON.stringify((await under.call(under.admin, 'GET', '/projects?showHiddenFields=true')).body)).not.toMatch(
      /key|secret/i,
    )
  })

  it('stays when the project is saved without one', async () => {
    await change({ name: 'Another name', apiKey: '' })
    expect(under.payload.decrypt((await read()).encryptedKey ?? '')).toBe('key-1')
    expect((await read()).connection?.state).toBe('connected')
  })

  it('that the service refuses leaves the project refused, with the reason', async () => {
    await change({ apiKey: 'wrong' })
    const { connection } = await read()
    expect(connection).toMatchObject({ state: 'refused', detail: 'No valid API key: send a valid API key' })
  })

  it('of another project is refused', async () => {
    await change({ apiKey: 'key-2' })
    expect((await read()).connection?.state).toBe('refused')
  })

  it('is checked when the service is back', async () => {
    under.service.away = true
    await change({ apiKey: 'key-1' })
    expect((await read()).connection).toMatchObject({
      state: 'unreachable',
      detail: expect.stringContaining('503') as string,
    })
    under.service.away = false
    await under.hurry()
    expect((await read()).connection?.state).toBe('connected')
    expect(under.service.endpoints).toHaveLength(1)
  })
})

describe('connecting again', () => {
  it('makes no second endpoint, and keeps the secret', async () => {
    const before = await read()
    await change({ apiKey: 'key-1' })
    expect(under.service.endpoints).toHaveLength(1)
    expect((await read()).connection?.encryptedSecrets).toBe(before.connection?.encryptedSecrets)
  })

  it('switches an endpoint on that was switched off', async () => {
    const [endpoint] = under.service.endpoints
    if (endpoint) endpoint.enabled = false
    await change({ apiKey: 'key-1' })
    expect(under.service.endpoints).toMatchObject([{ enabled: true }])
  })

  it('makes a new endpoint for one that is gone, and goes on taking what the old one signed', async () => {
    const task = await under.task(project)
    const old = under.service.endpoints[0]?.secret
    under.service.endpoints.length = 0
    await change({ apiKey: 'key-1' })
    expect(under.service.endpoints).toHaveLength(1)
    expect(under.service.endpoints[0]?.secret).not.toBe(old)
    const answer = await under.send(
      under.service.signed('task.queued.v1', under.service.view(task.requestId), { secret: old }),
    )
    expect(answer.status).toBe(200)
    await under.payload.delete({ collection: 'media-tasks', where: {} })
  })

  it('keeps a new secret, also when the old endpoint cannot be removed just then', async () => {
    const [old] = under.service.endpoints
    if (old) old.events = ['task.done.v1']
    under.service.stuck = true
    await change({ apiKey: 'key-1' })
    expect((await read()).connection?.state).toBe('unreachable')
    const told = under.service.signed('webhook.ping.v1', { project_id: 'p-1' })
    expect((await under.send(told)).status).toBe(202)
    under.service.stuck = false
    await under.hurry()
    expect((await read()).connection?.state).toBe('connected')
    expect(under.service.endpoints).toHaveLength(1)
  })

  it('leaves endpoints for other addresses alone, and removes an older one for this', async () => {
    const [own] = under.service.endpoints
    const other = {
      id: 'o',
      project: 'p-1',
      events: ['*'],
      enabled: true,
      secret: '',
      created_at: '2020-01-01T00:00:00Z',
    }
    under.service.endpoints.push({ ...other, url: 'http://elsewhere.test/hook' })
    under.service.endpoints.push({ ...other, id: 'old', url: own?.url ?? '' })
    await change({ apiKey: 'key-1' })
    expect(under.service.endpoints.map(({ id }) => id)).toEqual([own?.id, 'o'])
  })
})

it('that is deleted is reported to no more', async () => {
  await under.payload.delete({ collection: 'projects', id: project.id })
  expect(under.service.endpoints).toEqual([])
})

it('that has tasks is not deleted', async () => {
  await under.task(project)
  const answer = await under.call(under.admin, 'DELETE', `/projects/${project.id}`)
  expect(answer.status).toBe(409)
  await under.payload.delete({ collection: 'media-tasks', where: {} })
})

it('cannot become another project of the service', async () => {
  await change({ serviceProject: 'p-2' })
  expect((await read()).serviceProject).toBe('p-1')
})
