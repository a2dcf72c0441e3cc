import type { CollectionConfig } from 'payload'

import { nobody } from '../access/membership.ts'
import type { Settings } from '../options.ts'

const closed = { create: nobody, read: nobody, update: nobody, delete: nobody }

/** What was heard of tasks, each once. Written before a document is changed, so that nothing heard is lost. */
export function eventsCollection(settings: Settings): CollectionConfig {
  return {
    slug: settings.slugs.events,
    admin: { hidden: true },
    access: closed,
    fields: [
      { name: 'key', type: 'text', required: true, unique: true, index: true },
      { name: 'requestId', type: 'text', required: true, index: true },
      { name: 'type', type: 'text', required: true },
      { name: 'seq', type: 'number', required: true, index: true },
      { name: 'body', type: 'json' },
    ],
  }
}

/** Which files the service has already been given, by project and checksum. */
export function uploadsCollection(settings: Settings): CollectionConfig {
  return {
    slug: settings.slugs.uploads,
    admin: { hidden: true },
    access: closed,
    fields: [
      { name: 'key', type: 'text', required: true, unique: true, index: true },
      { name: 'mediaId', type: 'text', required: true },
    ],
  }
}
