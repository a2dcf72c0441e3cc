import type { CatalogModel } from '../catalog/models.ts'
import type { Id } from '../documents.ts'
import type { Action } from '../vocabulary.ts'
import { readTask, type PanelTask } from './task.ts'

/** The server says no, in its own words. */
export class Refused extends Error {
  override name = 'Refused'
  readonly status: number

  constructor(message: string, status: number) {
    super(message)
    this.status = status
  }
}

export interface Outcome {
  task: PanelTask | undefined
  message: string
}

/** The endpoints of the tasks' collection, asked as the user who is logged in. Every call raises `Refused`. */
export class PanelApi {
  readonly address: string

  constructor(apiRoute: string, slug: string) {
    this.address = `${apiRoute}/${slug}`
  }

  async tasks(ids: readonly Id[]): Promise<PanelTask[]> {
    const query = new URLSearchParams({ depth: '0', limit: String(ids.length), 'where[id][in]': ids.join(',') })
    const { docs } = (await this.#ask('GET', `?${query}`)) as { docs: unknown[] }
    return docs.map(readTask).filter((task) => task !== undefined)
  }

  async models(project: Id): Promise<CatalogModel[]> {
    const found = await this.#ask('GET', `/models?project=${encodeURIComponent(project)}`)
    return (found as { models: CatalogModel[] }).models
  }

  /** Where the project's live feed can be opened within a minute. */
  async liveUrl(project: Id): Promise<string> {
    const found = await this.#ask('GET', `/live?project=${encodeURIComponent(project)}`)
    return (found as { url: string }).url
  }

  async act(id: Id, action: Action, body: object = {}): Promise<Outcome> {
    const { doc, message } = (await this.#ask('POST', `/${encodeURIComponent(id)}/${action}`, body)) as {
      doc: unknown
      message: string
    }
    return { task: readTask(doc), message }
  }

  result(id: Id, thumbnail = false): string {
    return `${this.address}/${encodeURIComponent(id)}/result${thumbnail ? '?thumbnail=1' : ''}`
  }

  async #ask(method: string, path: string, body?: object): Promise<unknown> {
    let response: Response
    try {
      response = await fetch(`${this.address}${path}`, {
        method,
        credentials: 'include',
        headers: body ? { 'Content-Type': 'application/json' } : {},
        body: body && JSON.stringify(body),
      })
    } catch {
      throw new Refused('The server does not answer. Is it running, and are you online?', 0)
    }
    const answer: unknown = await response.json().catch(() => undefined)
    if (response.ok) return answer
    throw new Refused(wordsOf(answer) ?? `The server answers ${response.status}.`, response.status)
  }
}

function wordsOf(answer: unknown): string | undefined {
  const { errors } = (answer ?? {}) as { errors?: { message?: unknown }[] }
  const words = Array.isArray(errors)
    ? errors.map(({ message }) => message).filter((one) => typeof one === 'string')
    : []
  return words.length > 0 ? words.join('\n') : undefined
}
