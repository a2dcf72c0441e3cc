import { createHash, randomUUID } from 'node:crypto'

/** Of the service's own `task_id_for`: a request and its repetitions meet in one task, whose id is known beforehand. */
const TASKS = Buffer.from('5b1c3f0e6d0a5f0c9a586d6f76696531', 'hex')

export const REQUEST_PREFIX = 'media-task-'

/** The id of the event by which a document asks for its task, and its `client_ref` there. */
export function newRequestId(): string {
  return `${REQUEST_PREFIX}${randomUUID()}`
}

/** UUID version 5 of the project and the request. */
export function taskIdFor(serviceProject: string, requestId: string): string {
  const digest = createHash('sha1').update(TASKS).update(`${serviceProject}\n${requestId}`).digest().subarray(0, 16)
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x50, 6)
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8)
  return digest.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
