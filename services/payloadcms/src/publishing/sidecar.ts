import type { TaskRequest } from '../documents.ts'
import type { Settings } from '../options.ts'
import { reason } from '../service/client.ts'

const PATIENCE_MS = 5_000

export interface CloudEvent {
  specversion: '1.0'
  id: string
  source: string
  type: string
  subject: string
  time: string
  datacontenttype: 'application/json'
  correlationid: string
  traceparent?: string
  /** The sidecar's older name for the same. It puts a trace of its own in the place of both when this one is missing. */
  traceid?: string
  data: Record<string, unknown>
}

/** The request as an event. Its id is the same however often it is published, so the service makes one task of it. */
export function taskRequested(request: TaskRequest, inputs: Record<string, string>, traceparent?: string): CloudEvent {
  return {
    specversion: '1.0',
    id: request.client_ref,
    source: '/payloadcms',
    type: 'task.requested.v1',
    subject: request.project_id,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    correlationid: request.client_ref,
    ...(traceparent ? { traceparent, traceid: traceparent } : {}),
    data: { ...request, inputs },
  }
}

/** Raises an error that names what the sidecar said; published is what it has answered with success. */
export async function publish(dapr: Settings['dapr'], event: CloudEvent): Promise<void> {
  const { endpoint, pubsub, topic, apiToken } = dapr
  const address = `${endpoint}/v1.0/publish/${encodeURIComponent(pubsub)}/${encodeURIComponent(topic)}`
  let response: Response
  try {
    response = await fetch(`${address}?metadata.partitionKey=${encodeURIComponent(event.subject)}`, {
      method: 'POST',
      body: JSON.stringify(event),
      headers: {
        'content-type': 'application/cloudevents+json',
        ...(apiToken ? { 'dapr-api-token': apiToken } : {}),
      },
      redirect: 'error',
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
  } catch (error) {
    throw new Error(`the Dapr sidecar at ${endpoint} does not answer: ${reason(error)}`, { cause: error })
  }
  if (response.ok) return
  const said = (await response.text()).slice(0, 500)
  throw new Error(`the Dapr sidecar answers ${response.status} to publishing on ${topic}: ${said}`)
}
