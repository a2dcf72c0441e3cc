import type { CollectionConfig, PayloadRequest } from 'payload'

const isAdmin = ({ req }: { req: PayloadRequest }) => {
  const { roles } = (req.user ?? {}) as { roles?: string[] }
  return roles?.includes('admin') ?? false
}

export const users: CollectionConfig = {
  slug: 'users',
  auth: true,
  admin: { useAsTitle: 'email' },
  access: { create: isAdmin, update: isAdmin, delete: isAdmin },
  hooks: {
    // Whoever comes first runs the place.
    beforeChange: [
      async ({ data, operation, req }) => {
        if (operation !== 'create') return data
        const { totalDocs } = await req.payload.count({ collection: 'users', overrideAccess: true, req })
        return totalDocs === 0 ? { ...data, roles: ['admin'] } : data
      },
    ],
  },
  fields: [
    {
      name: 'roles',
      type: 'select',
      options: ['admin', 'editor'],
      hasMany: true,
      defaultValue: ['editor'],
      saveToJWT: true,
      access: { create: isAdmin, update: isAdmin },
    },
  ],
}
