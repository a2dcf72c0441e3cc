import type { CollectionConfig } from 'payload'

import { adminsOnly, nobody, ofOwnProjects, readOnly, secret } from '../access/membership.ts'
import type { Settings } from '../options.ts'
import { CONNECTION_STATES } from '../vocabulary.ts'

const SERVICE_PROJECT = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/

export function projectsCollection(settings: Settings): CollectionConfig {
  return {
    slug: settings.slugs.projects,
    labels: { singular: 'Project', plural: 'Projects' },
    admin: { group: 'Movie Tasks', useAsTitle: 'name', defaultColumns: ['name', 'serviceProject', 'connection.state'] },
    access: {
      create: adminsOnly(settings),
      read: ofOwnProjects(settings, 'id'),
      update: adminsOnly(settings),
      delete: adminsOnly(settings),
      ...settings.access.projects,
    },
    fields: [
      { name: 'name', type: 'text', required: true, maxLength: 200 },
      {
        name: 'serviceProject',
        type: 'text',
        label: 'Project in Movie Tasks',
        required: true,
        unique: true,
        index: true,
        access: { update: nobody },
        admin: { description: 'Its id there. Cannot be changed later.' },
        validate: (value: unknown) =>
          (typeof value === 'string' && SERVICE_PROJECT.test(value)) ||
          'Up to 64 letters, digits, - and _, beginning with a letter or digit.',
      },
      {
        name: 'members',
        type: 'relationship',
        relationTo: settings.usersSlug,
        hasMany: true,
        index: true,
        admin: { description: 'They see and change the tasks and media of this project.' },
      },
      {
        name: 'apiKey',
        type: 'text',
        label: 'API key',
        virtual: true,
        maxLength: 500,
        access: { read: nobody },
        admin: { description: 'Kept encrypted and never shown again. Leave it empty to keep the one there is.' },
      },
      { name: 'encryptedKey', type: 'text', hidden: true, access: secret },
      {
        name: 'connection',
        type: 'group',
        access: readOnly,
        admin: { readOnly: true, description: 'Whether Movie Tasks takes the key and knows where to report to.' },
        fields: [
          {
            name: 'state',
            type: 'select',
            options: [...CONNECTION_STATES],
            defaultValue: 'unconnected',
            access: readOnly,
          },
          { name: 'detail', type: 'text', access: readOnly },
          { name: 'checkedAt', type: 'date', access: readOnly },
          { name: 'endpointId', type: 'text', hidden: true, access: secret },
          { name: 'encryptedSecrets', type: 'textarea', hidden: true, access: secret },
        ],
      },
    ],
  }
}
