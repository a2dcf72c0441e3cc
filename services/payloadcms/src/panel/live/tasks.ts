import type { Id } from '../../documents.ts'
import { isOpen } from '../../vocabulary.ts'
import type { PanelApi } from '../api.ts'
import type { PanelTask } from '../task.ts'
import { changedBy, later, subjectOf } from './changes.ts'
import { LiveFeed, RESET, type Source } from './feed.ts'

/** A browser has six connections to a host for all its tabs, and pictures come by them too. */
export const MOST_FEEDS = 2

/**
 * How long a page believes what it shows before it asks for the document. Soon after the feed is opened not for long:
 * what happened just before may be on its way to the document still.
 */
const SINCE_LIVE_MS = 1000
const WHILE_LIVE_MS = 30_000
const WITHOUT_FEED_MS = 4000
/** The feed is ahead of the document by as long as a webhook takes. */
const WHILE_BEHIND_MS = 500
/** After so many tries without the webhook the service is asked. */
const BEHIND_TRIES = 6
const HIDDEN_FOR_MS = 60_000
/** One page follows upon another, such as a document's upon its form, and shows the same. */
const LINGER_MS = 5000

interface Watched {
  task: PanelTask
  listeners: Set<() => void>
  checkedAt: number
  /** How often the document was asked for since it is known to have ended; undefined where the document says so. */
  behind: number | undefined
}

/** Every task that a page shows, each as new as can be. */
export class LiveTasks {
  readonly #api: PanelApi
  readonly #open: (address: string) => Source
  readonly #watched = new Map<string, Watched>()
  readonly #feeds = new Map<string, { feed: LiveFeed; liveSince: number | undefined }>()
  #timer: ReturnType<typeof setTimeout> | undefined
  #hiddenTimer: ReturnType<typeof setTimeout> | undefined
  #asleep = false
  #asking = false

  constructor(api: PanelApi, open: (address: string) => Source) {
    this.#api = api
    this.#open = open
  }

  get(id: Id): PanelTask | undefined {
    return this.#watched.get(String(id))?.task
  }

  /** Until the answer is called. */
  watch(task: PanelTask, listener: () => void): () => void {
    const key = String(task.id)
    const known = this.#watched.get(key)
    const watched = known ?? { task, listeners: new Set(), checkedAt: Date.now(), behind: undefined }
    if (known) this.put(task)
    else this.#watched.set(key, watched)
    watched.listeners.add(listener)
    this.#follow(task.project)
    this.#schedule()
    return () => {
      watched.listeners.delete(listener)
      setTimeout(() => {
        this.#forget(key, watched)
      }, LINGER_MS)
    }
  }

  #forget(key: string, watched: Watched): void {
    if (watched.listeners.size > 0 || this.#watched.get(key) !== watched) return
    this.#watched.delete(key)
    this.#leave(watched.task.project)
  }

  /** What the server has answered about a task. */
  put(fresh: PanelTask): void {
    const watched = this.#watched.get(String(fresh.id))
    if (!watched) return
    if (saysAsMuch(watched.task, fresh)) watched.behind = undefined
    this.#set(watched, later(watched.task, fresh))
  }

  /** A page that nobody sees gives its connections back after a while, and goes on where it was. */
  setVisible(visible: boolean): void {
    clearTimeout(this.#hiddenTimer)
    if (!visible) {
      this.#hiddenTimer = setTimeout(() => {
        this.#sleep(true)
      }, HIDDEN_FOR_MS)
    } else if (this.#asleep) this.#sleep(false)
  }

  #sleep(asleep: boolean): void {
    this.#asleep = asleep
    for (const { feed } of this.#feeds.values()) {
      if (asleep) feed.stop()
      else feed.start()
    }
    this.#schedule()
  }

  #follow(project: Id | undefined): void {
    const key = String(project)
    if (project === undefined || this.#feeds.has(key) || this.#feeds.size >= MOST_FEEDS) return
    const feed = new LiveFeed({
      address: () => this.#api.liveUrl(project),
      open: this.#open,
      chance: Math.random,
      onEvent: (type, data, origin) => {
        if (type === RESET) this.#askFor(key)
        else this.#hear(data, origin)
      },
      onLive: (live) => {
        this.#live(key, live)
      },
    })
    this.#feeds.set(key, { feed, liveSince: undefined })
    if (!this.#asleep) feed.start()
  }

  #leave(project: Id | undefined): void {
    const key = String(project)
    if ([...this.#watched.values()].some(({ task }) => String(task.project) === key)) return
    this.#feeds.get(key)?.feed.stop()
    this.#feeds.delete(key)
    for (const { task } of this.#watched.values()) this.#follow(task.project)
  }

  #live(project: string, live: boolean): void {
    const feed = this.#feeds.get(project)
    if (feed) feed.liveSince = live ? Date.now() : undefined
    // What happened between the page and the feed, or while the feed was away.
    if (live) this.#askFor(project)
    else this.#schedule()
  }

  #askFor(project: string): void {
    for (const watched of this.#watched.values()) {
      if (String(watched.task.project) === project) watched.checkedAt = 0
    }
    this.#schedule()
  }

  #hear(data: unknown, origin: string): void {
    const subject = subjectOf(data)
    for (const watched of this.#watched.values()) {
      const { taskId, requestId } = watched.task
      const about = subject.taskId !== undefined ? subject.taskId === taskId : subject.requestId === requestId
      if (!about || (subject.taskId ?? subject.requestId) === undefined) continue
      const changed = changedBy(watched.task, data, origin)
      if (!changed) continue
      watched.behind = isOpen(changed.status) ? undefined : (watched.behind ?? 0)
      this.#set(watched, changed)
    }
    this.#schedule()
  }

  #set(watched: Watched, task: PanelTask): void {
    if (watched.task === task) return
    watched.task = task
    for (const listener of watched.listeners) listener()
  }

  #dueAt({ task, checkedAt, behind }: Watched): number {
    if (checkedAt === 0) return 0
    if (behind !== undefined) return checkedAt + (behind > BEHIND_TRIES ? WITHOUT_FEED_MS : WHILE_BEHIND_MS)
    if (!isOpen(task.status)) return Infinity
    const liveSince = this.#feeds.get(String(task.project))?.liveSince
    if (liveSince === undefined) return checkedAt + WITHOUT_FEED_MS
    return checkedAt + Math.min(WHILE_LIVE_MS, Math.max(SINCE_LIVE_MS, checkedAt - liveSince))
  }

  #schedule(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#asleep || this.#asking) return
    const due = Math.min(...[...this.#watched.values()].map((watched) => this.#dueAt(watched)))
    if (due === Infinity) return
    this.#timer = setTimeout(
      () => {
        void this.#ask()
      },
      Math.max(0, due - Date.now()),
    )
  }

  async #ask(): Promise<void> {
    const now = Date.now()
    const due = [...this.#watched.values()].filter((watched) => this.#dueAt(watched) <= now)
    for (const watched of due) {
      watched.checkedAt = now
      if (watched.behind !== undefined) watched.behind += 1
    }
    this.#asking = true
    try {
      for (const fresh of due.length > 0 ? await this.#api.tasks(due.map(({ task }) => task.id)) : []) this.put(fresh)
      for (const { task, behind } of due) {
        if (behind === BEHIND_TRIES) await this.#refresh(task.id)
      }
    } catch {
      // Asked again when it is due again; until then the page shows what it knows.
    } finally {
      this.#asking = false
    }
    this.#schedule()
  }

  async #refresh(id: Id): Promise<void> {
    const { task } = await this.#api.act(id, 'refresh')
    if (task) this.put(task)
  }
}

function saysAsMuch(known: PanelTask, document: PanelTask): boolean {
  if (document.taskId !== known.taskId || document.seq > known.seq) return true
  return document.seq === known.seq && document.status === known.status
}
