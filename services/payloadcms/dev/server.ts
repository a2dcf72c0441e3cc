/** Payload without its admin panel: the REST API and the jobs behind a plain HTTP server. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'

import { getPayload, handleEndpoints } from 'payload'

import config from './payload.config.ts'

const payload = await getPayload({ config, cron: true })

const server = createServer((incoming, outgoing) => {
  answer(incoming, outgoing).catch((error: unknown) => {
    payload.logger.error({ msg: 'a request failed', err: error })
    if (!outgoing.headersSent) outgoing.writeHead(500)
    outgoing.end()
  })
})

async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  if (incoming.url === '/healthz') {
    outgoing.writeHead(200).end('ok')
    return
  }
  const response = await handleEndpoints({ config, request: read(incoming) })
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  if (response.body) Readable.fromWeb(response.body as never).pipe(outgoing)
  else outgoing.end()
}

function read(incoming: IncomingMessage): Request {
  const { method = 'GET', headers, url = '/' } = incoming
  const plain = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)])
  const bodiless = method === 'GET' || method === 'HEAD'
  return new Request(`http://${headers.host ?? 'localhost'}${url}`, {
    method,
    headers: plain,
    ...(bodiless ? {} : { body: Readable.toWeb(incoming) as never, duplex: 'half' as const }),
  })
}

server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  process.stdout.write(`${JSON.stringify({ ready: true, port })}\n`)
})

process.once('SIGTERM', () => {
  server.close()
  server.closeAllConnections()
  void payload.destroy().finally(() => process.exit(0))
})
