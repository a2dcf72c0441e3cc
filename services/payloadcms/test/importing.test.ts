import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'

import type { ProjectDocument, TaskDocument } from '../src/documents.ts'
import { queueImport } from '../src/jobs/queueing.ts'
import { PNG } from './examples.ts'
import { PayloadUnderTest } from './payloadUnderTest.ts'

const under = new PayloadUnderTest()
let project: ProjectDocument
let elsewhere: Server
interface Answering {
  status: number
  headers?: Record<string, string | undefined>
  body?: Buffer
}

let answering: (url: string) => Answering
let sent = 0

beforeAll(async () => {
  elsewhere = createServer((request, response) => {
    const { status, headers, body } = answering(request.url ?? '')
    response.writeHead(status, headers)
    if (body) response.end(body)
    else sendForEver()
    function sendForEver(): void {
      if (response.destroyed) return
      sent += 1
      response.write(Buffer.alloc(1000), sendForEver)
    }
  })
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
  await under.start({ importResults: { maxBytes: 5000, origins: [address()] } })
  project = await under.project()
})
afterAll(async () => {
  elsewhere.closeAllConnections()
  elsewhere.close()
  await under.stop()
})
beforeEach(() => {
  under.service.link = undefined
  under.service.file = { body: PNG, type: 'image/png' }
  sent = 0
})

function address(): string {
  return `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`
}

async function done(mediaId: string, contentType = 'image/png'): Promise<TaskDocument> {
  const task = await under.task(project)
  const result = { id: mediaId, content_type: contentType, size: 70 }
  await under.hear(task, 'task.done.v1', { seq: 5, status: 'done', phase: 'done', result })
  await under.runJobs()
  return under.read(task)
}

it('brings a result into the media of its project', async () => {
  const task = await done('m-1')
  expect(task.importError).toBeNull()
  const media = await under.payload.findByID({ collection: 'media', id: task.resultMedia ?? '', depth: 0 })
  expect(media).toMatchObject({ project: project.id, mimeType: 'image/png', filesize: PNG.length, alt: 'a red circle' })
})

it('brings it once, also when the job runs again', async () => {
  const task = await done('m-2')
  await under.write(task, { resultMedia: null })
  await queueImport(under.payload, task.id)
  await under.runJobs()
  expect((await under.read(task)).resultMedia).toBe(task.resultMedia)
  const { totalDocs } = await under.payload.count({ collection: 'media', where: { importedFrom: { equals: 'm-2' } } })
  expect(totalDocs).toBe(1)
})

it('follows a redirect to an origin that is allowed', async () => {
  under.service.link = { url: `${address()}/one`, thumbnail_url: null }
  answering = (url) =>
    url === '/one'
      ? { status: 302, headers: { location: '/two' }, body: Buffer.of() }
      : { status: 200, headers: { 'content-type': 'image/png' }, body: PNG }
  expect((await done('m-3')).resultMedia).toBeTruthy()
})

it.each([
  ['from anywhere else', 'http://127.0.0.1:1/file', /not fetched from http:\/\/127.0.0.1:1/],
  ['from the metadata service', 'http://169.254.169.254/latest', /not fetched from/],
])('fetches nothing %s', async (_what, url, why) => {
  under.service.link = { url, thumbnail_url: null }
  const task = await done('m-4')
  expect([task.resultMedia, task.importError]).toEqual([null, expect.stringMatching(why)])
})

it('follows no redirect to anywhere else, and none without end', async () => {
  under.service.link = { url: `${address()}/one`, thumbnail_url: null }
  answering = () => ({ status: 302, headers: { location: 'http://169.254.169.254/' }, body: Buffer.of() })
  expect((await done('m-5')).importError).toMatch(/not fetched from http:\/\/169.254.169.254/)
  answering = () => ({ status: 302, headers: { location: '/again' }, body: Buffer.of() })
  expect((await done('m-6')).importError).toMatch(/on and on/)
})

it('reads no further than it may', async () => {
  under.service.link = { url: `${address()}/endless`, thumbnail_url: null }
  answering = () => ({ status: 200, headers: { 'content-type': 'image/png' } })
  expect((await done('m-7')).importError).toBe('The result is larger than 5000 bytes.')
  // What lies in the buffers between the two.
  expect(sent).toBeLessThan(10_000)
})

it('takes no file of another kind', async () => {
  under.service.file = { body: Buffer.from('<script>'), type: 'text/html' }
  expect((await done('m-8')).importError).toBe('The file says to be text/html, not image/png.')
  expect((await done('m-9', 'text/html')).importError).toBe('text/html is not imported')
})

it('gives up a file that cannot be fetched, and says so', async () => {
  under.service.link = { url: `${address()}/gone`, thumbnail_url: null }
  answering = () => ({ status: 500, body: Buffer.of() })
  const task = await done('m-10')
  for (let tries = 0; tries < 5; tries += 1) await under.hurry()
  expect((await under.read(task)).importError).toMatch(/could not be fetched/)
})
