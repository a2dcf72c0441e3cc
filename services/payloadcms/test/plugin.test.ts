import { buildConfig, type Config, type SanitizedConfig, type TaskConfig } from 'payload'
import { sqliteAdapter } from '@payloadcms/db-sqlite'
import { describe, expect, it, vi } from 'vitest'

import { users } from '../dev/users.ts'
import { mediaTasksPlugin, type MediaTasksOptions } from '../src/index.ts'
import { PayloadUnderTest } from './payloadUnderTest.ts'

const OPTIONS: MediaTasksOptions = {
  service: { url: 'http://service.test/' },
  dapr: { endpoint: 'http://dapr.test' },
  webhook: { url: 'http://payload.test' },
}

async function built(options: Partial<MediaTasksOptions>, config: Partial<Config> = {}) {
  return buildConfig({
    secret: 's',
    db: sqliteAdapter({ client: { url: ':memory:' } }),
    ...config,
    collections: [users, ...(config.collections ?? [])],
    plugins: [mediaTasksPlugin({ ...OPTIONS, ...options })],
  })
}

function jobsOf(config: SanitizedConfig): string[] {
  return (config.jobs.tasks ?? []).map(({ slug }) => String(slug))
}

const OWN = ['projects', 'media-tasks', 'media', 'media-tasks-events', 'media-tasks-uploads']

describe('the config', () => {
  it('gains collections, jobs, and somebody to run them', async () => {
    const config = await built({})
    expect(config.collections.map(({ slug }) => slug)).toEqual(expect.arrayContaining(OWN))
    expect(jobsOf(config)).toContain('mediaTasksPublish')
    expect(config.jobs.autoRun).toEqual([expect.objectContaining({ queue: 'media-tasks' })])
  })

  it('keeps what was there', async () => {
    const task = { slug: 'own', handler: () => ({ output: {} }) } as unknown as TaskConfig
    const autoRun = [{ queue: 'own' }]
    const config = await built({}, { jobs: { tasks: [task], autoRun: () => autoRun } })
    expect(jobsOf(config)).toContain('own')
    const all = typeof config.jobs.autoRun === 'function' && (await config.jobs.autoRun({} as never))
    expect(all).toMatchObject([{ queue: 'own' }, { queue: 'media-tasks' }])
  })

  it('leaves jobs to others when it is told to', async () => {
    expect((await built({ autoRun: false })).jobs.autoRun).toBeUndefined()
  })

  it('takes the media collection that there is, and other slugs', async () => {
    const files = { slug: 'files', upload: true, fields: [] }
    const config = await built({ slugs: { media: 'files', tasks: 'pictures' } }, { collections: [files] })
    const slugs = config.collections.map(({ slug }) => slug)
    expect(slugs.filter((slug) => slug === 'files')).toHaveLength(1)
    expect(slugs).toContain('pictures')
  })
})

it('that is disabled keeps its collections and does nothing', async () => {
  const config = await built({ disabled: true })
  expect(config.collections.map(({ slug }) => slug)).toEqual(expect.arrayContaining(OWN))
  const tasks = config.collections.find(({ slug }) => slug === 'media-tasks')
  expect(tasks?.endpoints).not.toContainEqual(expect.objectContaining({ path: '/webhook' }))
  expect(tasks?.hooks.afterChange).toEqual([])
  expect(jobsOf(config)).toEqual([])
})

it('lets the onInit of the config run, and works with slugs and media of the host’s own', async () => {
  const under = new PayloadUnderTest()
  const onInit = vi.fn()
  const files = { slug: 'files', upload: { staticDir: 'unused' }, fields: [] }
  await under.start({ slugs: { media: 'files' } }, { collections: [files], onInit })
  const task = await under.task(await under.project())
  expect(under.service.published).toMatchObject([{ id: task.requestId }])
  expect(onInit).toHaveBeenCalledOnce()
  await under.stop()
})
