import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import type { PanelApi } from '../../src/panel/api.ts'
import { LiveTasks, MOST_FEEDS } from '../../src/panel/live/tasks.ts'
import type { PanelTask } from '../../src/panel/task.ts'
import { preview, progressed, SERVICE, task, view } from './events.ts'
import { FakeSource } from './fakeSource.ts'

beforeEach(() => {
  vi.useFakeTimers()
  FakeSource.opened = []
})
afterEach(() => {
  vi.useRealTimers()
})

const settled = () => vi.advanceTimersByTimeAsync(0)

describe('the tasks of a page', () => {
  const documents = new Map<number, PanelTask>()
  const tasks = vi.fn((ids: readonly (string | number)[]) =>
    Promise.resolve(ids.map((id) => documents.get(Number(id))).filter((one) => one !== undefined)),
  )
  const liveUrl = vi.fn((project: string | number) => Promise.resolve(`${SERVICE}/live/${project}?ticket=x`))
  const act = vi.fn((id: string | number) => Promise.resolve({ task: documents.get(Number(id)), message: '' }))
  const api = { tasks, liveUrl, act } as unknown as PanelApi
  const page = () => new LiveTasks(api, (address) => new FakeSource(address))

  beforeEach(() => {
    documents.clear()
    for (const mock of [tasks, liveUrl, act]) mock.mockClear()
    liveUrl.mockImplementation((project) => Promise.resolve(`${SERVICE}/live/${project}?ticket=x`))
  })

  it('share one feed by project and close it some time after the last of them', async () => {
    const store = page()
    const stops = [task(), task({ id: 2, taskId: 't-2' })].map((one) => store.watch(one, vi.fn()))
    await settled()
    expect(FakeSource.opened).toHaveLength(1)
    stops[0]?.()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(FakeSource.last.closed).toBe(false)
    stops[1]?.()
    await settled()
    expect(FakeSource.last.closed).toBe(false)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(FakeSource.last.closed).toBe(true)
  })

  it('stay as new as they were when another page shows them', async () => {
    const store = page()
    const stop = store.watch(task(), vi.fn())
    await settled()
    FakeSource.last.say('task.processing.v1', view())
    stop()
    store.watch(task(), vi.fn())
    expect(store.get(1)?.status).toBe('processing')
    await vi.advanceTimersByTimeAsync(10_000)
    expect(FakeSource.opened).toHaveLength(1)
    expect(FakeSource.last.closed).toBe(false)
  })

  it('leave connections for other things', async () => {
    const store = page()
    for (const id of [1, 2, 3, 4]) store.watch(task({ id, project: id, taskId: `t-${id}` }), vi.fn())
    await settled()
    expect(FakeSource.opened).toHaveLength(MOST_FEEDS)
  })

  it('are told apart by the ids of their events', async () => {
    const store = page()
    const [one, other] = [vi.fn(), vi.fn()]
    store.watch(task(), one)
    store.watch(task({ id: 2, taskId: 't-2', requestId: 'media-task-2' }), other)
    await settled()
    FakeSource.last.say('task.processing.v1', view())
    expect(store.get(1)?.status).toBe('processing')
    expect(store.get(2)?.status).toBe('pending')
    expect(one).toHaveBeenCalled()
    expect(other).not.toHaveBeenCalled()
  })

  it('have a preview while they run, from where the feed is', async () => {
    const store = page()
    store.watch(task(), vi.fn())
    await settled()
    FakeSource.last.open()
    FakeSource.last.say('task.processing.v1', view())
    FakeSource.last.say('task.progressed.v1', progressed(0.5, preview('a')))
    expect(store.get(1)?.preview).toBe(`${SERVICE}/api/v1/media/previews/t-1?link=a`)
    FakeSource.last.say('task.done.v1', view({ status: 'done', phase: 'done', seq: 6 }))
    expect(store.get(1)?.preview).toBeUndefined()
  })

  it('are asked for once the feed is open, because something may have happened before', async () => {
    const store = page()
    documents.set(1, task({ seq: 4, status: 'processing' }))
    store.watch(task(), vi.fn())
    await settled()
    FakeSource.last.open()
    await settled()
    expect(store.get(1)?.status).toBe('processing')
  })

  it('are asked for often at first, because a webhook may be on its way, and then ever less', async () => {
    const store = page()
    documents.set(1, task())
    store.watch(task(), vi.fn())
    await settled()
    FakeSource.last.open()
    await vi.advanceTimersByTimeAsync(900)
    documents.set(1, task({ seq: 4, status: 'processing' }))
    await vi.advanceTimersByTimeAsync(200)
    expect(store.get(1)?.status).toBe('processing')
    await vi.advanceTimersByTimeAsync(60_000)
    expect(tasks.mock.calls.length).toBeLessThan(10)
  })

  it('are asked for every few seconds while there is no feed', async () => {
    liveUrl.mockImplementation(() => Promise.reject(new Error('away')))
    const store = page()
    store.watch(task(), vi.fn())
    documents.set(1, task({ seq: 9, status: 'done' }))
    await vi.advanceTimersByTimeAsync(4100)
    expect(store.get(1)?.status).toBe('done')
    const asked = tasks.mock.calls.length
    await vi.advanceTimersByTimeAsync(60_000)
    expect(tasks).toHaveBeenCalledTimes(asked)
  })

  it('are asked for after their end until the document has the result', async () => {
    const store = page()
    documents.set(1, task())
    store.watch(task(), vi.fn())
    await settled()
    FakeSource.last.open()
    await settled()
    const result = { id: 'm', content_type: 'image/png', size: 1 }
    FakeSource.last.say('task.done.v1', view({ status: 'done', phase: 'done', seq: 6, result }))
    expect(store.get(1)?.status).toBe('done')
    expect(store.get(1)?.results).toEqual([])
    documents.set(1, task({ status: 'done', seq: 6, results: [{ mediaId: 'm', contentType: 'image/png' }] }))
    await vi.advanceTimersByTimeAsync(600)
    expect(store.get(1)?.results).toHaveLength(1)
  })

  it('ask the service themselves when its webhook does not come', async () => {
    const store = page()
    documents.set(1, task())
    store.watch(task(), vi.fn())
    await settled()
    FakeSource.last.open()
    await settled()
    FakeSource.last.say('task.done.v1', view({ status: 'done', phase: 'done', seq: 6 }))
    await vi.advanceTimersByTimeAsync(6000)
    expect(act).toHaveBeenCalledExactlyOnceWith(1, 'refresh')
  })

  it('are all asked for when the feed says that something is missing', async () => {
    const store = page()
    store.watch(task(), vi.fn())
    await settled()
    FakeSource.last.open()
    await settled()
    tasks.mockClear()
    FakeSource.last.say('feed.reset.v1', { reason: 'forgotten' }, '99')
    await settled()
    expect(tasks).toHaveBeenCalledOnce()
  })

  it('give the feed back while nobody looks, and go on where it was', async () => {
    const store = page()
    store.watch(task(), vi.fn())
    await settled()
    FakeSource.last.open()
    FakeSource.last.say('task.queued.v1', {}, '7')
    store.setVisible(false)
    await vi.advanceTimersByTimeAsync(61_000)
    expect(FakeSource.last.closed).toBe(true)
    store.setVisible(true)
    await settled()
    expect(FakeSource.opened).toHaveLength(2)
    expect(FakeSource.last.address).toContain('last_event_id=7')
  })
})
