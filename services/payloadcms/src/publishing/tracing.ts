import type { PayloadRequest } from 'payload'

import type { Settings } from '../options.ts'

const TRACE_PARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/** The span in which the request is handled, or else the one that the caller names. What is none is left out. */
export function traceOf({ traceparent }: Settings, req: PayloadRequest): string | undefined {
  return (
    [traceparent?.(), req.headers.get('traceparent')].find((given) => given && TRACE_PARENT.test(given)) ?? undefined
  )
}
