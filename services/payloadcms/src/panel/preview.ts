import { isOpen } from '../vocabulary.ts'
import type { PanelTask } from './task.ts'

/** Small pictures of how far a running task has come: which addresses are good for one, and which of them is shown. */

const PREVIEWS = '/api/v1/media/previews/'

/**
 * Where a browser may fetch what the feed calls the task's preview; undefined where that is somewhere else.
 * `origin` is the feed's own: the service as browsers reach it, and results too.
 */
export function previewAddress(given: unknown, taskId: string, origin: string): string | undefined {
  if (typeof given !== 'string' || !URL.canParse(given, origin)) return undefined
  const { origin: where, pathname, search } = new URL(given, origin)
  // A picture is fetched with the cookies of its site, which may be this Payload's: nothing else is asked for.
  if (where !== origin || pathname !== `${PREVIEWS}${encodeURIComponent(taskId)}`) return undefined
  return `${origin}${pathname}${search}`
}

/** Before it runs too: where the pictures will be there is room for them, so that nothing moves when they come. */
export function mayHavePreviews({ status, medium }: Pick<PanelTask, 'status' | 'medium'>): boolean {
  return isOpen(status) && (medium === 'image' || medium === 'video')
}

/** An address opens for a minute only, so one may come to nothing: what is shown stays until another has been loaded. */
export interface Pictures {
  shown?: string
  /** Being loaded. */
  coming?: string
  /** The newest that was told of meanwhile. */
  next?: string
}

export const NO_PICTURES: Pictures = {}

/** The newest address, or that there is none any more. */
export function told(pictures: Pictures, address: string | undefined): Pictures {
  if (address === undefined) return NO_PICTURES
  if (Object.values(pictures).includes(address)) return pictures
  return pictures.coming === undefined ? { ...pictures, coming: address } : { ...pictures, next: address }
}

export function loaded(pictures: Pictures, address: string): Pictures {
  return address === pictures.coming ? goOn(address, pictures.next) : pictures
}

export function failed(pictures: Pictures, address: string): Pictures {
  const { shown, coming, next } = pictures
  if (address === coming) return goOn(shown, next)
  return address === shown ? { coming, next } : pictures
}

function goOn(shown: string | undefined, coming: string | undefined): Pictures {
  return { shown, coming }
}
