import type { Payload } from 'payload'

import type { ProjectDocument } from '../documents.ts'

/** Of a rotation and of an endpoint made anew the older ones are still on their way. */
const KEPT = 3

export function readSecrets(payload: Payload, project: ProjectDocument): string[] {
  const encrypted = project.connection?.encryptedSecrets
  return encrypted ? (JSON.parse(payload.decrypt(encrypted)) as string[]) : []
}

export function addSecret(payload: Payload, project: ProjectDocument, secret: string): string {
  return payload.encrypt(JSON.stringify([secret, ...readSecrets(payload, project)].slice(0, KEPT)))
}
