import type { Payload } from 'payload'

import { readModels, type CatalogModel } from '../catalog/models.ts'
import type { ProjectDocument } from '../documents.ts'
import type { Settings } from '../options.ts'
import { readWithin } from '../reading.ts'
import type { Priority } from '../vocabulary.ts'
import { inWords, readProblem, ServiceAway, ServiceRefused } from './problems.ts'
import { isTaskView, type EndpointView, type MediaLink, type TaskView } from './views.ts'

const PATIENCE_MS = 10_000
const UPLOAD_PATIENCE_MS = 120_000
const MOST_OF_AN_ANSWER = 4 * 1024 * 1024

/** A caller of the service in the project's name; undefined while the project has no key. */
export function clientOf(settings: Settings, payload: Payload, project: ProjectDocument): ServiceClient | undefined {
  if (!project.encryptedKey) return undefined
  return new ServiceClient(settings.service.url, payload.decrypt(project.encryptedKey))
}

/** Movie Tasks' REST API with one project's key. Every call raises `ServiceRefused` or `ServiceAway`. */
export class ServiceClient {
  readonly #url: string
  readonly #key: string

  constructor(url: string, key: string) {
    this.#url = url
    this.#key = key
  }

  async models(): Promise<CatalogModel[]> {
    return readModels(await this.#ask('GET', '/models'))
  }

  /** Refused for a key that is not of this project. */
  async checkProject(project: string): Promise<void> {
    await this.#ask('GET', `/projects/${encodeURIComponent(project)}/queue`)
  }

  async task(id: string): Promise<TaskView> {
    return readTask(await this.#ask('GET', `/tasks/${encodeURIComponent(id)}/status`))
  }

  async cancel(id: string): Promise<TaskView> {
    return readTask(await this.#ask('DELETE', `/tasks/${encodeURIComponent(id)}/cancel`))
  }

  async retry(id: string): Promise<TaskView> {
    return readTask(await this.#ask('POST', `/tasks/${encodeURIComponent(id)}/retry`))
  }

  async prioritise(id: string, priority: Priority): Promise<TaskView> {
    return readTask(await this.#ask('PATCH', `/tasks/${encodeURIComponent(id)}`, { priority }))
  }

  async endpoints(): Promise<EndpointView[]> {
    return (await this.#ask('GET', '/webhooks')) as EndpointView[]
  }

  async register(url: string, events: readonly string[]): Promise<{ secret: string; endpoint: EndpointView }> {
    return (await this.#ask('POST', '/webhooks', { url, events })) as { secret: string; endpoint: EndpointView }
  }

  async enable(endpointId: string): Promise<void> {
    await this.#ask('PATCH', `/webhooks/${encodeURIComponent(endpointId)}`, { enabled: true })
  }

  async remove(endpointId: string): Promise<void> {
    await this.#ask('DELETE', `/webhooks/${encodeURIComponent(endpointId)}`)
  }

  async upload(file: Blob, name: string): Promise<{ id: string }> {
    const form = new FormData()
    form.append('file', file, name)
    return (await this.#ask('POST', '/media', form, UPLOAD_PATIENCE_MS)) as { id: string }
  }

  /** Where a file can be fetched for a short while without a key. The addresses are relative to the service. */
  async link(mediaId: string): Promise<MediaLink> {
    return (await this.#ask('POST', `/media/${encodeURIComponent(mediaId)}/link`, {})) as MediaLink
  }

  async ticket(): Promise<{ sse: string }> {
    return (await this.#ask('POST', '/live/tickets', {})) as { sse: string }
  }

  async #ask(method: string, path: string, body?: FormData | object, patience = PATIENCE_MS): Promise<unknown> {
    const json = body !== undefined && !(body instanceof FormData)
    let response: Response
    let text: string
    try {
      response = await fetch(`${this.#url}/api/v1${path}`, {
        method,
        body: json ? JSON.stringify(body) : body,
        headers: { 'X-API-Key': this.#key, ...(json ? { 'Content-Type': 'application/json' } : {}) },
        redirect: 'error',
        signal: AbortSignal.timeout(patience),
      })
      text = await textOf(response)
    } catch (error) {
      if (error instanceof ServiceAway) throw error
      throw new ServiceAway(`Movie Tasks does not answer: ${reason(error)}`)
    }
    const answer = readJson(text)
    if (response.ok) return answer
    const { title, detail, code, problems } = readProblem(answer)
    if (response.status >= 500 || response.status === 429 || response.status === 408) {
      throw new ServiceAway(`Movie Tasks answers ${response.status}: ${detail}`)
    }
    throw new ServiceRefused(response.status, title, inWords({ detail, problems }), code, problems)
  }
}

async function textOf(response: Response): Promise<string> {
  const body = await readWithin(response, MOST_OF_AN_ANSWER)
  if (!body) throw new ServiceAway('Movie Tasks answers with more than can be right')
  return body.toString()
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function readTask(answer: unknown): TaskView {
  if (!isTaskView(answer)) throw new ServiceAway('Movie Tasks answers with what is no task')
  return answer
}

/** Why a fetch failed. Its own message says only that it did; the cause names what is away. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return 'for no known reason'
  return error.cause instanceof Error ? error.cause.message || error.cause.name : error.message
}
