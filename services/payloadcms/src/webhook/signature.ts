import { createHmac, timingSafeEqual } from 'node:crypto'

/** Standard Webhooks 1.0.0. */

const TOLERANCE_SECONDS = 300
const PREFIX = 'whsec_'

export interface Signed {
  id: string
  timestamp: string
  signature: string
}

export function signedHeaders(headers: Headers): Signed | undefined {
  const id = headers.get('webhook-id')
  const timestamp = headers.get('webhook-timestamp')
  const signature = headers.get('webhook-signature')
  if (!id || id.length > 256 || !timestamp || !signature) return undefined
  return { id, timestamp, signature }
}

/** Whether one of the secrets signed exactly this, not long ago. */
export function isGenuine(signed: Signed, body: string, secrets: readonly string[], now: Date): boolean {
  if (!/^\d{1,12}$/.test(signed.timestamp)) return false
  if (Math.abs(now.getTime() / 1000 - Number(signed.timestamp)) > TOLERANCE_SECONDS) return false
  const presented = signed.signature
    .split(' ')
    .filter((part) => part.startsWith('v1,'))
    .map((part) => Buffer.from(part.slice(3), 'base64'))
  const content = `${signed.id}.${signed.timestamp}.${body}`
  // All are compared, whichever fits: how long it takes says nothing.
  let genuine = false
  for (const secret of secrets) {
    const expected = createHmac('sha256', Buffer.from(secret.replace(PREFIX, ''), 'base64'))
      .update(content)
      .digest()
    for (const one of presented) {
      if (one.length === expected.length && timingSafeEqual(one, expected)) genuine = true
    }
  }
  return genuine
}
