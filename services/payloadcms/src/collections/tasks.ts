import type { CollectionConfig, Field } from 'payload'

import { intoOwnProject, nobody, ofOwnProjects, readOnly, secret } from '../access/membership.ts'
import type { Settings } from '../options.ts'
import { MEDIA, MOST_TAGS, PRIORITIES, STATUSES } from '../vocabulary.ts'

export function tasksCollection(settings: Settings): CollectionConfig {
  return {
    slug: settings.slugs.tasks,
    labels: { singular: 'Media task', plural: 'Media tasks' },
    // The plugin's own duplicate drops the seed; Payload's would copy the task's life.
    disableDuplicate: true,
    admin: {
      group: 'Movie Tasks',
      useAsTitle: 'title',
      defaultColumns: ['title', 'project', 'model', 'status', 'progress', 'updatedAt'],
    },
    access: {
      create: intoOwnProject(settings),
      read: ofOwnProjects(settings, 'project'),
      update: ofOwnProjects(settings, 'project'),
      delete: ofOwnProjects(settings, 'project'),
      ...settings.access.tasks,
    },
    fields: [...requestFields(settings), ...lifeFields(settings), ...ownFields()],
  }
}

/** What an editor asks for. */
function requestFields(settings: Settings): Field[] {
  return [
    {
      name: 'project',
      type: 'relationship',
      relationTo: settings.slugs.projects,
      required: true,
      index: true,
      access: { update: nobody },
    },
    { name: 'title', type: 'text', maxLength: 200 },
    {
      name: 'medium',
      type: 'select',
      options: [...MEDIA],
      index: true,
      admin: { description: "The model's. May be left out." },
    },
    { name: 'model', type: 'text', required: true, index: true, maxLength: 64 },
    { name: 'prompt', type: 'textarea' },
    { name: 'params', type: 'json', label: 'Parameters', defaultValue: {} },
    {
      name: 'inputs',
      type: 'array',
      fields: [
        { name: 'name', type: 'text', required: true, maxLength: 64 },
        { name: 'media', type: 'upload', relationTo: settings.slugs.media, required: true },
      ],
    },
    { name: 'priority', type: 'select', options: [...PRIORITIES], defaultValue: 'medium', required: true },
    { name: 'tags', type: 'text', hasMany: true, maxRows: MOST_TAGS, maxLength: 64 },
    {
      name: 'expiresAt',
      type: 'date',
      admin: { date: { pickerAppearance: 'dayAndTime' }, description: 'Give up when not started by then.' },
    },
  ]
}

/** What became of it, as the service tells. */
function lifeFields(settings: Settings): Field[] {
  const told = { access: readOnly, admin: { readOnly: true } } as const
  return [
    { name: 'status', type: 'select', options: [...STATUSES], defaultValue: 'waiting', index: true, ...told },
    { name: 'phase', type: 'text', ...told },
    { name: 'progress', type: 'number', min: 0, max: 100, ...told },
    { name: 'step', type: 'number', ...told },
    { name: 'steps', type: 'number', ...told },
    { name: 'etaSeconds', type: 'number', ...told },
    {
      name: 'error',
      type: 'group',
      ...told,
      fields: [
        { name: 'title', type: 'text', access: readOnly },
        { name: 'detail', type: 'textarea', access: readOnly },
        { name: 'code', type: 'text', access: readOnly },
      ],
    },
    {
      name: 'results',
      type: 'array',
      ...told,
      fields: [
        { name: 'mediaId', type: 'text', required: true },
        { name: 'contentType', type: 'text', required: true },
        { name: 'size', type: 'number' },
        { name: 'width', type: 'number' },
        { name: 'height', type: 'number' },
        { name: 'duration', type: 'number', admin: { description: 'In seconds.' } },
        { name: 'hasThumbnail', type: 'checkbox' },
      ],
    },
    { name: 'resultMedia', type: 'upload', relationTo: settings.slugs.media, ...told },
    { name: 'importError', type: 'text', ...told },
    { name: 'taskId', type: 'text', index: true, ...told },
    { name: 'seq', type: 'number', defaultValue: 0, ...told },
    { name: 'attempt', type: 'number', ...told },
  ]
}

/** What only the plugin needs. */
function ownFields(): Field[] {
  return [
    { name: 'requestId', type: 'text', unique: true, index: true, access: readOnly, admin: { hidden: true } },
    { name: 'request', type: 'json', hidden: true, access: secret },
    { name: 'heardAt', type: 'date', index: true, hidden: true, access: secret },
    { name: 'cancelRequested', type: 'checkbox', access: readOnly, admin: { hidden: true } },
  ]
}
