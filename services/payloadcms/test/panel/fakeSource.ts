import type { Source } from '../../src/panel/live/feed.ts'

/** An `EventSource` that says what a test wants. */
export class FakeSource implements Source {
  static opened: FakeSource[] = []
  static get last(): FakeSource {
    const last = FakeSource.opened.at(-1)
    if (!last) throw new Error('nothing was opened')
    return last
  }
  onopen: Source['onopen'] = null
  onerror: Source['onerror'] = null
  closed = false
  readonly #listeners = new Map<string, (event: MessageEvent<string>) => void>()

  constructor(readonly address: string) {
    FakeSource.opened.push(this)
  }
  addEventListener(type: string, listener: (event: MessageEvent<string>) => void) {
    this.#listeners.set(type, listener)
  }
  close() {
    this.closed = true
  }
  open() {
    this.onopen?.(new Event('open'))
  }
  fail() {
    this.onerror?.(new Event('error'))
  }
  say(type: string, data: unknown, lastEventId = '') {
    this.sayRaw(type, JSON.stringify(data), lastEventId)
  }
  sayRaw(type: string, data: string, lastEventId = '') {
    this.#listeners.get(type)?.({ data, lastEventId } as MessageEvent<string>)
  }
}
