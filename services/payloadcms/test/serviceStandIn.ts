import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { randomUUID } from 'node:crypto'

import { Webhook } from 'standardwebhooks'

import { taskIdFor } from '../src/identifiers.ts'
import type { TaskView } from '../src/service/views.ts'
import { MODELS, PNG } from './examples.ts'

export interface Asked {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: Buffer
}

interface StandInEndpoint {
  id: string
  project: string
  url: string
  events: string[]
  enabled: boolean
  created_at: string
  secret: string
}

type Answer = [status: number, body?: unknown, headers?: Record<string, string>]
type Route = (asked: Asked, project: string, ...parts: string[]) => Answer

const REFUSED: Answer = [401, { title: 'No valid API key', detail: 'send a valid API key', code: 'unauthenticated' }]
const AWAY: Answer = [503, { title: 'Away', detail: 'come again', code: 'dependency-unavailable' }]
const NOT_FOUND: Answer = [404, { title: 'No such thing here', detail: 'no such thing', code: 'not-found' }]

/** Movie Tasks and a Dapr sidecar at their HTTP boundary, with as much behind it as a test needs. */
export class ServiceStandIn {
  readonly asked: Asked[] = []
  readonly published: Record<string, unknown>[] = []
  readonly endpoints: StandInEndpoint[] = []
  readonly tasks = new Map<string, TaskView>()
  readonly uploads: string[] = []
  /** By project. */
  keys: Record<string, string> = { 'p-1': 'key-1', 'p-2': 'key-2' }
  models: unknown = MODELS
  file: { body: Buffer; type: string } = { body: PNG, type: 'image/png' }
  link: { url: string; thumbnail_url: string | null } | undefined
  /** Statuses that publishing answers with before it works. */
  refusals: number[] = []
  /** Endpoints cannot be removed. */
  stuck = false
  /** Every call but publishing is answered with 503. */
  away = false
  url = ''
  readonly #server = createServer((request, response) => {
    void this.#answer(request, response)
  })

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    return this
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  paths(method: string): string[] {
    return this.asked.filter((one) => one.method === method).map(({ path }) => path)
  }

  /** A task as the service shows it. */
  view(requestId: string, change: Partial<TaskView> = {}, project = 'p-1'): TaskView {
    return {
      id: taskIdFor(project, requestId),
      project_id: project,
      seq: 1,
      status: 'pending',
      phase: 'queued',
      attempt: 0,
      progress: null,
      cancel_requested: false,
      priority: 'medium',
      client_ref: requestId,
      result: null,
      error: null,
      created_at: new Date().toISOString(),
      ...change,
    }
  }

  /** A webhook as the service would send it. */
  signed(type: string, data: object, how: { id?: string; at?: Date; secret?: string; project?: string } = {}): Request {
    const { id = `msg_${randomUUID()}`, at = new Date(), project = 'p-1' } = how
    const secret = how.secret ?? this.endpoints.findLast((one) => one.project === project)?.secret ?? 'whsec_bm9uZQ=='
    const body = JSON.stringify({ type, timestamp: at.toISOString(), data })
    return new Request('http://payload.test/api/media-tasks/webhook', {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
        'webhook-signature': new Webhook(secret).sign(id, at, body),
      },
    })
  }

  readonly #routes: [string, RegExp, Route][] = [
    ['GET', /^\/models$/, () => [200, this.models]],
    ['GET', /^\/projects\/([^/]+)\/queue$/, (_asked, own, named) => (own === named ? [200, {}] : NOT_FOUND)],
    ['GET', /^\/webhooks$/, (_asked, own) => [200, this.endpoints.filter(({ project }) => project === own)]],
    ['POST', /^\/webhooks$/, (asked, own) => this.#register(asked, own)],
    ['PATCH', /^\/webhooks\/([^/]+)$/, (asked, _own, id) => this.#change(asked, id)],
    ['DELETE', /^\/webhooks\/([^/]+)$/, (_asked, _own, id) => this.#remove(id)],
    ['GET', /^\/tasks\/([^/]+)\/status$/, (_asked, _own, id) => this.#task(id)],
    [
      'DELETE',
      /^\/tasks\/([^/]+)\/cancel$/,
      (_asked, _own, id) => this.#move(id, { status: 'cancelled', phase: 'cancelled' }),
    ],
    [
      'POST',
      /^\/tasks\/([^/]+)\/retry$/,
      (_asked, _own, id) => this.#move(id, { status: 'pending', phase: 'queued', error: null }),
    ],
    [
      'PATCH',
      /^\/tasks\/([^/]+)$/,
      ({ body }, _own, id) => this.#move(id, JSON.parse(body.toString()) as Partial<TaskView>),
    ],
    ['POST', /^\/media$/, () => this.#upload()],
    ['POST', /^\/media\/([^/]+)\/link$/, (_asked, _own, id) => [200, this.link ?? this.#signedLink(id)]],
    ['POST', /^\/live\/tickets$/, () => [200, { ticket: 't', sse: '/api/v1/live/projects/p-1?ticket=t' }]],
  ]

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { method = '', url = '', headers } = request
    const asked = { method, path: url, headers, body: Buffer.concat(chunks) }
    this.asked.push(asked)
    if (url.startsWith('/files/')) {
      response.writeHead(200, { 'content-type': this.file.type }).end(this.file.body)
      return
    }
    const [status, body, more] = url.startsWith('/v1.0/publish/') ? this.#publish(asked) : this.#ask(asked)
    response.writeHead(status, { 'content-type': 'application/json', ...more })
    response.end(body === undefined ? '' : JSON.stringify(body))
  }

  #publish(asked: Asked): Answer {
    const refusal = this.refusals.shift()
    if (refusal) return [refusal, { errorCode: 'ERR_PUBSUB_PUBLISH_MESSAGE' }]
    this.published.push(JSON.parse(asked.body.toString()) as Record<string, unknown>)
    return [204]
  }

  #ask(asked: Asked): Answer {
    if (this.away) return AWAY
    const project = Object.keys(this.keys).find((one) => this.keys[one] === asked.headers['x-api-key'])
    if (!project) return REFUSED
    const path = asked.path.replace('/api/v1', '').replace(/\?.*/, '')
    for (const [method, pattern, route] of this.#routes) {
      const found = method === asked.method ? pattern.exec(path) : null
      if (found) return route(asked, project, ...found.slice(1))
    }
    return NOT_FOUND
  }

  #register({ body }: Asked, project: string): Answer {
    const { url, events } = JSON.parse(body.toString()) as { url: string; events: string[] }
    const secret = `whsec_${Buffer.from(randomUUID()).toString('base64')}`
    const endpoint = {
      id: randomUUID(),
      project,
      url,
      events,
      enabled: true,
      created_at: new Date().toISOString(),
      secret,
    }
    this.endpoints.push(endpoint)
    return [201, { secret, endpoint: { ...endpoint, secret: undefined } }]
  }

  #change({ body }: Asked, id = ''): Answer {
    const found = this.endpoints.find((one) => one.id === id)
    if (!found) return NOT_FOUND
    found.enabled = (JSON.parse(body.toString()) as { enabled: boolean }).enabled
    return [200, found]
  }

  #remove(id = ''): Answer {
    if (this.stuck) return AWAY
    const index = this.endpoints.findIndex((one) => one.id === id)
    if (index < 0) return NOT_FOUND
    this.endpoints.splice(index, 1)
    return [204]
  }

  #task(id = ''): Answer {
    const task = this.tasks.get(id)
    return task ? [200, task] : NOT_FOUND
  }

  #move(id = '', change: Partial<TaskView>): Answer {
    const task = this.tasks.get(id)
    if (!task) return NOT_FOUND
    const moved = { ...task, ...change, seq: task.seq + 1 }
    this.tasks.set(id, moved)
    return [200, moved]
  }

  #upload(): Answer {
    const id = randomUUID()
    this.uploads.push(id)
    return [201, { id }]
  }

  #signedLink(id = ''): { url: string; thumbnail_url: string } {
    return { url: `/files/${id}?signature=s`, thumbnail_url: `/files/${id}/thumbnail?signature=s` }
  }
}
