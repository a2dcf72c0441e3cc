import type { PayloadRequest } from 'payload'
import { describe, expect, it } from 'vitest'

import { settingsOf } from '../src/options.ts'
import { traceOf } from '../src/publishing/tracing.ts'

const ACTIVE = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
const BROUGHT = `00-${'c'.repeat(32)}-${'d'.repeat(16)}-00`

function trace(traceparent?: () => string | undefined, brought?: string): string | undefined {
  const options = { service: { url: 'http://s' }, dapr: { endpoint: 'http://d' }, webhook: { url: 'http://w' } }
  const headers = new Headers(brought ? { traceparent: brought } : {})
  return traceOf(settingsOf({ ...options, traceparent }, 'users', '/api'), { headers } as PayloadRequest)
}

describe('the trace of a request', () => {
  it('is the active span of a Payload that is traced', () => {
    expect(trace(() => ACTIVE, BROUGHT)).toBe(ACTIVE)
  })
  it('is otherwise what the caller brings', () => {
    expect(trace(() => undefined, BROUGHT)).toBe(BROUGHT)
  })
  it('is what the caller brings where Payload is not traced', () => {
    expect(trace(undefined, BROUGHT)).toBe(BROUGHT)
  })
  it('is none for what is no trace', () => {
    expect(trace(() => 'nonsense', 'x')).toBeUndefined()
  })
  it('is none without either', () => {
    expect(trace()).toBeUndefined()
  })
})
