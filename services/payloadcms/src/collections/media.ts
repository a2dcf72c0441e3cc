import type { CollectionConfig } from 'payload'

import { intoOwnProject, nobody, ofOwnProjects, secret } from '../access/membership.ts'
import type { Settings } from '../options.ts'

/** What is taken as input: the same types that the service stores. */
export const MIME_TYPES = [
  'image/png',
  'image/jpeg',
  'image/webp',
  'video/mp4',
  'video/webm',
  'audio/wav',
  'audio/x-wav',
  'audio/vnd.wave',
  'audio/flac',
  'audio/x-flac',
  'audio/mpeg',
  'audio/ogg',
]

export function mediaCollection(settings: Settings): CollectionConfig {
  return {
    slug: settings.slugs.media,
    labels: { singular: 'Media', plural: 'Media' },
    admin: { group: 'Movie Tasks' },
    upload: { mimeTypes: MIME_TYPES, ...settings.mediaUpload },
    access: {
      create: intoOwnProject(settings),
      read: ofOwnProjects(settings, 'project'),
      update: ofOwnProjects(settings, 'project'),
      delete: ofOwnProjects(settings, 'project'),
      ...settings.access.media,
    },
    fields: [
      {
        name: 'project',
        type: 'relationship',
        relationTo: settings.slugs.projects,
        required: true,
        index: true,
        access: { update: nobody },
      },
      { name: 'alt', type: 'text', maxLength: 500 },
      { name: 'importedFrom', type: 'text', unique: true, index: true, hidden: true, access: secret },
    ],
  }
}
