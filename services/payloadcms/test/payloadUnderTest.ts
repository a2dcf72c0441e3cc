import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { sqliteAdapter } from '@payloadcms/db-sqlite'
import { buildConfig, getPayload, handleEndpoints, type Config, type Payload, type SanitizedConfig } from 'payload'

import { users } from '../dev/users.ts'
import { mediaTasksPlugin, type MediaTasksOptions } from '../src/index.ts'
import type { Id, ProjectDocument, TaskDocument } from '../src/documents.ts'
import { QUEUE } from '../src/options.ts'
import { ServiceStandIn } from './serviceStandIn.ts'

export interface Answer {
  status: number
  headers: Headers
  body: any
}

export interface Person {
  id: Id
  token: string
}

/** A Payload with the plugin over a database of its own, and a stand-in for the service and the sidecar. */
export class PayloadUnderTest {
  payload!: Payload
  config!: SanitizedConfig
  admin!: Person
  readonly service = new ServiceStandIn()
  #folder = ''

  async start(options: Partial<MediaTasksOptions> = {}, more: Partial<Config> = {}): Promise<this> {
    await this.service.start()
    this.#folder = await mkdtemp(path.join(tmpdir(), 'payloadcms-'))
    this.config = await buildConfig({
      secret: 'a-secret-for-tests',
      db: sqliteAdapter({ client: { url: `file:${this.#folder}/payload.db` } }),
      admin: { user: 'users' },
      telemetry: false,
      logger: { options: { level: 'silent' } },
      ...more,
      collections: [users, ...(more.collections ?? [])],
      plugins: [
        mediaTasksPlugin({
          service: { url: this.service.url },
          dapr: { endpoint: this.service.url, apiToken: 'dapr-token' },
          webhook: { url: 'http://payload.test' },
          publishing: { attempts: 3, delay: 1 },
          mediaUpload: { staticDir: `${this.#folder}/media` },
          catalogSeconds: 0,
          autoRun: false,
          ...options,
        }),
      ],
    })
    this.payload = await getPayload({ config: this.config })
    this.admin = await this.register('POST', '/users/first-register', 'admin@example.com')
    return this
  }

  async stop(): Promise<void> {
    await this.payload.destroy()
    await this.service.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async send(request: Request): Promise<Answer> {
    const response = await handleEndpoints({ config: this.config, request })
    const text = await response.text()
    let body: unknown = text
    try {
      body = JSON.parse(text)
    } catch {
      // Not every answer is JSON.
    }
    return { status: response.status, headers: response.headers, body }
  }

  async call(person: Person | undefined, method: string, where: string, data?: object): Promise<Answer> {
    const headers: Record<string, string> = person ? { authorization: `JWT ${person.token}` } : {}
    const body = data instanceof FormData ? data : data && JSON.stringify(data)
    if (data && !(data instanceof FormData)) headers['content-type'] = 'application/json'
    return this.send(new Request(`http://payload.test/api${where}`, { method, headers, body }))
  }

  async person(email: string): Promise<Person> {
    await this.payload.create({ collection: 'users', data: { email, password: 'secret-password' } })
    return this.register('POST', '/users/login', email)
  }

  async register(method: string, where: string, email: string): Promise<Person> {
    const { body } = await this.call(undefined, method, where, { email, password: 'secret-password' })
    const { token, user } = body as { token: string; user: { id: Id } }
    return { id: user.id, token }
  }

  /** A project that is connected. */
  async project(serviceProject = 'p-1', members: Person[] = []): Promise<ProjectDocument> {
    const { body, status } = await this.call(this.admin, 'POST', '/projects?depth=0', {
      name: serviceProject,
      serviceProject,
      apiKey: this.service.keys[serviceProject],
      members: members.map(({ id }) => id),
    })
    if (status !== 201) throw new Error(JSON.stringify(body))
    await this.runJobs()
    return (body as { doc: ProjectDocument }).doc
  }

  async ask(project: ProjectDocument, more: object = {}, person = this.admin): Promise<Answer> {
    return this.call(person, 'POST', '/media-tasks?depth=0', {
      project: project.id,
      model: 'some-image',
      prompt: 'a red circle',
      ...more,
    })
  }

  /** A document that is published. */
  async task(project: ProjectDocument, more: object = {}): Promise<TaskDocument> {
    const { body, status } = await this.ask(project, more)
    if (status !== 201) throw new Error(JSON.stringify(body))
    await this.runJobs()
    return (body as { doc: TaskDocument }).doc
  }

  async read(task: TaskDocument): Promise<TaskDocument> {
    const found = await this.payload.findByID({
      collection: 'media-tasks',
      id: task.id,
      depth: 0,
      showHiddenFields: true,
    })
    return found as unknown as TaskDocument
  }

  /** What the plugin's own code would write, for a test's beginning. */
  async write(task: TaskDocument, data: object): Promise<void> {
    await this.payload.update({ collection: 'media-tasks', id: task.id, data, context: { mediaTasksOwn: true } })
  }

  /** Until none is due. */
  async runJobs(): Promise<void> {
    for (;;) {
      const { noJobsRemaining } = await this.payload.jobs.run({ queue: QUEUE, limit: 100, silent: true })
      if (noJobsRemaining) return
    }
  }

  /** Makes jobs that wait for their next try due. */
  async hurry(): Promise<void> {
    const now = new Date(Date.now() - 1000).toISOString()
    await this.payload.update({
      collection: 'payload-jobs',
      where: { hasError: { not_equals: true } },
      data: { waitUntil: now },
    })
    await this.runJobs()
  }

  async jobs(task: string): Promise<object[]> {
    const found = await this.payload.find({ collection: 'payload-jobs', where: { taskSlug: { equals: task } } })
    return found.docs
  }

  async hear(task: TaskDocument, type: string, change: object, how: { id?: string } = {}): Promise<Answer> {
    return this.send(this.service.signed(type, this.service.view(task.requestId, change), how))
  }
}
