/** The words of Movie Tasks that documents, hooks and the admin panel share. Imports nothing, so browsers may have it. */

export const MEDIA = ['image', 'video', 'audio'] as const
export type Medium = (typeof MEDIA)[number]

export const PRIORITIES = ['low', 'medium', 'high'] as const
export type Priority = (typeof PRIORITIES)[number]

/** What the service says of a task. */
export const SERVICE_STATUSES = ['pending', 'processing', 'done', 'failed', 'cancelled', 'expired'] as const

export const STATUSES = [
  /** Saved here; the service has not said yet that it has heard. */
  'waiting',
  ...SERVICE_STATUSES,
  /** The service refuses the request; `error` says why. */
  'rejected',
  /** The sidecar could not be reached until the attempts were spent. */
  'unpublished',
] as const
export type Status = (typeof STATUSES)[number]

export const OPEN_STATUSES: readonly Status[] = ['waiting', 'pending', 'processing']

export function isOpen(status: Status): boolean {
  return OPEN_STATUSES.includes(status)
}

/** Statuses of documents that no task of the service stands behind, so that their request may still be changed. */
export const UNSENT_STATUSES: readonly Status[] = ['rejected', 'unpublished']

export const ACTIONS = ['cancel', 'retry', 'prioritise', 'duplicate', 'refresh'] as const
export type Action = (typeof ACTIONS)[number]

/** Which actions make sense from which status; the endpoints hold to it, and the admin panel shows no others. */
export function actionsFrom(status: Status): readonly Action[] {
  switch (status) {
    case 'waiting':
      return ['cancel', 'duplicate', 'refresh']
    case 'pending':
    case 'processing':
      return ['cancel', 'prioritise', 'duplicate', 'refresh']
    case 'failed':
    case 'cancelled':
    case 'expired':
      return ['retry', 'duplicate', 'refresh']
    case 'rejected':
    case 'unpublished':
      return ['retry', 'duplicate']
    case 'done':
      return ['duplicate', 'refresh']
  }
}

export const CONNECTION_STATES = ['unconnected', 'connecting', 'connected', 'refused', 'unreachable'] as const
export type ConnectionState = (typeof CONNECTION_STATES)[number]

export const MOST_TAGS = 5
export const MOST_REMINDERS = 10
