import path from 'node:path'

import { sqliteAdapter } from '@payloadcms/db-sqlite'
import { buildConfig } from 'payload'

import { mediaTasksPlugin } from '../../src/index.ts'
import { users } from '../users.ts'

// Bundled, this file lies elsewhere; everything is run from its folder.
const here = process.cwd()
const {
  DATABASE_URI = `file:${path.join(here, 'payload.db')}`,
  PAYLOAD_SECRET = 'a-secret-for-development-only',
  MOVIE_TASKS_URL = 'http://127.0.0.1:8000',
  DAPR_HTTP_ENDPOINT = 'http://127.0.0.1:3500',
  DAPR_API_TOKEN,
  PAYLOAD_URL = 'http://127.0.0.1:3000',
  MEDIA_DIR = path.join(here, 'media'),
} = process.env

export default buildConfig({
  secret: PAYLOAD_SECRET,
  db: sqliteAdapter({ client: { url: DATABASE_URI } }),
  admin: { user: users.slug, avatar: 'default', importMap: { baseDir: here } },
  collections: [users],
  typescript: { autoGenerate: false },
  plugins: [
    mediaTasksPlugin({
      service: { url: MOVIE_TASKS_URL },
      dapr: { endpoint: DAPR_HTTP_ENDPOINT, apiToken: DAPR_API_TOKEN },
      webhook: { url: PAYLOAD_URL },
      mediaUpload: { staticDir: MEDIA_DIR },
    }),
  ],
})
