import type { CollectionConfig, Condition, CustomComponent, Field } from 'payload'

import { intoOwnProject, nobody, ofOwnProjects, readOnly, secret } from '../access/membership.ts'
import type { TaskDocument } from '../documents.ts'
import type { Settings } from '../options.ts'
import { MEDIA, MOST_REMINDERS, MOST_TAGS, PRIORITIES, STATUSES, UNSENT_STATUSES } from '../vocabulary.ts'

export function tasksCollection(settings: Settings): CollectionConfig {
  return {
    slug: settings.slugs.tasks,
    labels: { singular: 'Media task', plural: 'Media tasks' },
    // The plugin's own duplicate drops the seed; Payload's would copy the task's life.
    disableDuplicate: true,
    admin: {
      group: 'Movie Tasks',
      useAsTitle: 'title',
      listSearchableFields: ['title', 'prompt', 'model'],
      defaultColumns: ['title', 'panel', 'status', 'model', 'project', 'updatedAt'],
      components: { beforeListTable: [unconnectedProjects(settings)] },
    },
    access: {
      create: intoOwnProject(settings),
      read: ofOwnProjects(settings, 'project'),
      update: ofOwnProjects(settings, 'project'),
      delete: ofOwnProjects(settings, 'project'),
      ...settings.access.tasks,
    },
    fields: [panel, ...requestFields(settings), ...lifeFields(settings), ...ownFields()],
  }
}

/** Names a component for Payload's import map; nothing is loaded here, so a server without a panel needs no React. */
const component = (name: string) => `payload-plugin-media-tasks/client#${name}`

const unconnectedProjects = (settings: Settings): CustomComponent => ({
  path: 'payload-plugin-media-tasks/rsc#UnconnectedProjects',
  serverProps: { projects: settings.slugs.projects },
})

const panel: Field = {
  name: 'panel',
  type: 'ui',
  label: 'Result',
  admin: { components: { Field: component('TaskPanel'), Cell: component('ThumbnailCell') } },
}

/** For the list and its filters. In the document the panel shows it, as it goes on. */
const listed = { readOnly: true, condition: () => false }

const isUnsent: Condition<TaskDocument> = ({ status }, _siblings, { operation }) =>
  operation === 'create' || status === undefined || UNSENT_STATUSES.includes(status)

const sidebar = { position: 'sidebar' } as const

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
      admin: { ...sidebar, allowCreate: false },
    },
    { name: 'title', type: 'text', maxLength: 200, admin: { components: { Cell: component('TitleCell') } } },
    {
      name: 'medium',
      type: 'select',
      options: [...MEDIA],
      index: true,
      // The model's: in the form that is chosen, and this follows.
      admin: listed,
    },
    {
      name: 'model',
      type: 'text',
      required: true,
      index: true,
      maxLength: 64,
      admin: {
        components: {
          Field: { path: component('ModelField'), clientProps: { projects: settings.slugs.projects } },
        },
      },
    },
    { name: 'prompt', type: 'textarea', admin: { components: { Field: component('PromptField') } } },
    {
      name: 'params',
      type: 'json',
      label: 'Parameters',
      defaultValue: {},
      admin: { components: { Field: component('ParamsField') } },
    },
    {
      name: 'inputs',
      type: 'array',
      admin: { components: { Field: component('InputsField') } },
      fields: [
        { name: 'name', type: 'text', required: true, maxLength: 64 },
        { name: 'media', type: 'upload', relationTo: settings.slugs.media, required: true },
      ],
    },
    {
      name: 'priority',
      type: 'select',
      options: [...PRIORITIES],
      defaultValue: 'medium',
      required: true,
      // Of a task that is on its way the panel changes it.
      admin: { ...sidebar, condition: isUnsent },
    },
    { name: 'tags', type: 'text', hasMany: true, maxRows: MOST_TAGS, maxLength: 64, admin: sidebar },
    {
      name: 'startAt',
      type: 'date',
      admin: { ...sidebar, date: { pickerAppearance: 'dayAndTime' }, description: 'Not to be started before.' },
    },
    {
      name: 'dueAt',
      label: 'Deadline',
      type: 'date',
      admin: { ...sidebar, date: { pickerAppearance: 'dayAndTime' }, description: 'When the result is needed.' },
    },
    {
      name: 'expiresAt',
      type: 'date',
      admin: { ...sidebar, date: { pickerAppearance: 'dayAndTime' }, description: 'Give up when not started by then.' },
    },
    {
      name: 'reminders',
      type: 'array',
      maxRows: MOST_REMINDERS,
      admin: {
        ...sidebar,
        description: 'When to be told of it, should it not have ended: a moment, or so long before the deadline.',
      },
      fields: [
        { name: 'at', type: 'date', admin: { date: { pickerAppearance: 'dayAndTime' } } },
        { name: 'minutesBeforeDue', type: 'number', min: 0, label: 'Minutes before the deadline' },
        { name: 'note', type: 'text', maxLength: 200 },
      ],
    },
  ]
}

/** What became of it, as the service tells. */
function lifeFields(settings: Settings): Field[] {
  const told = { access: readOnly, admin: listed } as const
  return [
    {
      name: 'status',
      type: 'select',
      options: [...STATUSES],
      defaultValue: 'waiting',
      index: true,
      access: readOnly,
      admin: { ...listed, components: { Cell: component('StatusCell') } },
    },
    { name: 'phase', type: 'text', ...told },
    { name: 'progress', type: 'number', min: 0, max: 100, ...told },
    { name: 'step', type: 'number', ...told },
    { name: 'steps', type: 'number', ...told },
    { name: 'etaSeconds', type: 'number', ...told },
    {
      name: 'estimate',
      type: 'group',
      ...told,
      fields: [
        { name: 'p50At', type: 'date', access: readOnly },
        { name: 'p90At', type: 'date', access: readOnly },
      ],
    },
    { name: 'deadline', type: 'text', ...told },
    // One value, and not rows: two replicas that list the same at once would list it twice.
    { name: 'reminded', type: 'json', ...told },
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
