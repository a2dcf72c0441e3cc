import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { LiveFeed } from '../../src/panel/live/feed.ts'
import { FakeSource } from './fakeSource.ts'

beforeEach(() => {
  vi.useFakeTimers()
  FakeSource.opened = []
})
afterEach(() => {
  vi.useRealTimers()
})

const settled = () => vi.advanceTimersByTimeAsync(0)

describe('the live feed', () => {
  const heard = vi.fn<(type: string, data: unknown, origin: string) => void>()
  const live = vi.fn<(live: boolean) => void>()
  let tickets = 0
  const feed = (address = () => Promise.resolve(`http://service/live/projects/p?ticket=${(tickets += 1)}`)) =>
    new LiveFeed({ address, open: (at) => new FakeSource(at), chance: () => 0.999, onEvent: heard, onLive: live })

  beforeEach(() => {
    heard.mockClear()
    live.mockClear()
    tickets = 0
  })

  it('goes on from the last event with a new ticket when it breaks off', async () => {
    feed().start()
    await settled()
    FakeSource.last.open()
    FakeSource.last.say('task.queued.v1', { seq: 1 }, '41')
    FakeSource.last.say('task.progressed.v1', { step: 1 })
    FakeSource.last.fail()
    expect(FakeSource.last.closed).toBe(true)
    expect(live.mock.calls).toEqual([[true], [false]])
    await vi.advanceTimersByTimeAsync(1000)
    expect(FakeSource.opened.map(({ address }) => new URL(address).search)).toEqual([
      '?ticket=1',
      '?ticket=2&last_event_id=41',
    ])
    expect(heard.mock.calls.map(([type]) => type)).toEqual(['task.queued.v1', 'task.progressed.v1'])
  })

  it('waits longer each time until it has been opened', async () => {
    const address = vi.fn(() => Promise.reject(new Error('away')))
    feed(address).start()
    await vi.advanceTimersByTimeAsync(7000)
    expect(address).toHaveBeenCalledTimes(4)
    await vi.advanceTimersByTimeAsync(60_000 * 10)
    expect(address.mock.calls.length).toBeLessThan(20)
  })

  it('opens nothing after it was stopped while the ticket was on its way', async () => {
    const one = feed()
    one.start()
    one.stop()
    await settled()
    expect(FakeSource.opened).toEqual([])
  })

  it('passes over what is no JSON', async () => {
    feed().start()
    await settled()
    FakeSource.last.sayRaw('task.done.v1', '{')
    expect(heard).not.toHaveBeenCalled()
  })

  it('says where it is from, without the ticket', async () => {
    feed(() => Promise.resolve('https://media.example.com/api/v1/live/projects/p?ticket=t')).start()
    await settled()
    FakeSource.last.say('task.progressed.v1', { step: 1 })
    expect(heard).toHaveBeenCalledExactlyOnceWith('task.progressed.v1', { step: 1 }, 'https://media.example.com')
  })
})
