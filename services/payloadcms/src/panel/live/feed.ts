/** One project's live feed: kept open, opened anew where it broke off, and put away while nobody looks. */

/** Something is missing in what is told: whoever watches has to load what it shows. */
export const RESET = 'feed.reset.v1'

/** Of the service's events those that say something of a task's document. */
export const TOLD = [
  'task.accepted.v1',
  'task.scheduled.v1',
  'task.queued.v1',
  'task.assigned.v1',
  'task.processing.v1',
  'task.progressed.v1',
  'task.retrying.v1',
  'task.done.v1',
  'task.failed.v1',
  'task.cancelled.v1',
  'task.expired.v1',
  'task.blocked.v1',
  'task.skipped.v1',
  'task.rejected.v1',
  'media.produced.v1',
  RESET,
] as const

const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 60_000

/** What is needed of an `EventSource`. */
export interface Source {
  onopen: ((event: Event) => void) | null
  onerror: ((event: Event) => void) | null
  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void
  close(): void
}

export interface FeedDependencies {
  /** A new address with a ticket that opens the feed once. */
  address(): Promise<string>
  open(address: string): Source
  /** From 0 to below 1. */
  chance(): number
  /** `origin` is where the feed is from. */
  onEvent(type: string, data: unknown, origin: string): void
  /** Whether what happens is being told right now. */
  onLive(live: boolean): void
}

export class LiveFeed {
  readonly #given: FeedDependencies
  #source: Source | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #lastId = ''
  #failures = 0
  /** Rises whenever the feed is opened or closed, so that an address that comes late is not used. */
  #turn = 0

  constructor(given: FeedDependencies) {
    this.#given = given
  }

  start(): void {
    if (!this.#source && this.#timer === undefined) void this.#open()
  }

  /** Goes on from where it was when it is started again. */
  stop(): void {
    this.#turn += 1
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#put(undefined)
  }

  async #open(): Promise<void> {
    const turn = (this.#turn += 1)
    try {
      const address = await this.#given.address()
      if (turn !== this.#turn) return
      this.#put(this.#listen(this.#given.open(this.#resumed(address)), new URL(address).origin, turn))
    } catch {
      if (turn === this.#turn) this.#later()
    }
  }

  #listen(source: Source, origin: string, turn: number): Source {
    source.onopen = () => {
      if (turn !== this.#turn) return
      this.#failures = 0
      this.#given.onLive(true)
    }
    // The ticket in the address is spent by now, so the browser's own way of reconnecting would be refused.
    source.onerror = () => {
      if (turn !== this.#turn) return
      this.#put(undefined)
      this.#later()
    }
    for (const type of TOLD) {
      source.addEventListener(type, (event) => {
        if (turn !== this.#turn) return
        if (event.lastEventId) this.#lastId = event.lastEventId
        const data = readJson(event.data)
        if (data !== undefined) this.#given.onEvent(type, data, origin)
      })
    }
    return source
  }

  #resumed(address: string): string {
    if (!this.#lastId) return address
    const url = new URL(address)
    url.searchParams.set('last_event_id', this.#lastId)
    return url.href
  }

  #put(source: Source | undefined): void {
    if (this.#source && !source) this.#given.onLive(false)
    this.#source?.close()
    this.#source = source
  }

  #later(): void {
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures)
    this.#failures += 1
    clearTimeout(this.#timer)
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        void this.#open()
      },
      pause * (0.5 + this.#given.chance() / 2),
    )
  }
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
