import { readWithin } from '../reading.ts'
import { reason } from './client.ts'

const PATIENCE_MS = 60_000
const MOST_REDIRECTS = 3

/** It never will be, as it is. */
export class NotImported extends Error {
  override name = 'NotImported'
}

export interface Limits {
  maxBytes: number
  /** Including the service's own. */
  origins: string[]
}

/** A file from one of the allowed origins, read only as far as it may be long. Raises `NotImported`. */
export async function download(address: URL, contentType: string, limits: Limits): Promise<Buffer> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const response = await fetchWithin(address, limits.origins, signal)
  const type = response.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  try {
    if (!response.ok) throw new Error(`the result's address answers ${response.status}`)
    if (type !== contentType) throw new NotImported(`The file says to be ${type ?? 'nothing'}, not ${contentType}.`)
    const file = await readWithin(response, limits.maxBytes)
    if (!file) throw new NotImported(`The result is larger than ${limits.maxBytes} bytes.`)
    return file
  } finally {
    await response.body?.cancel().catch(() => undefined)
  }
}

/** Follows redirects by hand, because each may lead anywhere. */
async function fetchWithin(address: URL, origins: string[], signal: AbortSignal): Promise<Response> {
  let next = address
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects += 1) {
    if (!origins.includes(next.origin)) throw new NotImported(`Results are not fetched from ${next.origin}.`)
    let response: Response
    try {
      response = await fetch(next, { redirect: 'manual', signal })
    } catch (error) {
      throw new Error(`the result's address does not answer: ${reason(error)}`, { cause: error })
    }
    const location = response.headers.get('location')
    if (response.status < 300 || response.status > 399 || !location) return response
    await response.body?.cancel()
    next = new URL(location, next)
  }
  throw new NotImported('The address of the result leads on and on.')
}
