import path from 'node:path'
import { fileURLToPath } from 'node:url'

import { postgresAdapter } from '@payloadcms/db-postgres'
import { sqliteAdapter } from '@payloadcms/db-sqlite'
import { buildConfig } from 'payload'

import { mediaTasksPlugin } from '../src/index.ts'
import { users } from './users.ts'

const here = path.dirname(fileURLToPath(import.meta.url))
const {
  DATABASE_URI = `file:${path.join(here, 'payload.db')}`,
  PAYLOAD_SECRET = 'a-secret-for-development-only',
  MOVIE_TASKS_URL = 'http://127.0.0.1:8000',
  MOVIE_TASKS_PUBLIC_URL,
  DAPR_HTTP_ENDPOINT = 'http://127.0.0.1:3500',
  DAPR_API_TOKEN,
  PAYLOAD_URL = 'http://127.0.0.1:3000',
  MEDIA_DIR = path.join(here, 'media'),
  IMPORT_RESULTS_BYTES,
  RECONCILE_CRON,
  SILENT_MINUTES,
} = process.env

export default buildConfig({
  secret: PAYLOAD_SECRET,
  db: DATABASE_URI.startsWith('postgres')
    ? postgresAdapter({ pool: { connectionString: DATABASE_URI } })
    : // Without transactions: with them a second writer at the same time is refused.
      sqliteAdapter({ client: { url: DATABASE_URI } }),
  admin: { user: users.slug, avatar: 'default' },
  collections: [users],
  typescript: { outputFile: path.join(here, 'payload-types.ts'), declare: false },
  plugins: [
    mediaTasksPlugin({
      service: { url: MOVIE_TASKS_URL, publicUrl: MOVIE_TASKS_PUBLIC_URL },
      dapr: { endpoint: DAPR_HTTP_ENDPOINT, apiToken: DAPR_API_TOKEN },
      webhook: { url: PAYLOAD_URL },
      mediaUpload: { staticDir: MEDIA_DIR },
      importResults: IMPORT_RESULTS_BYTES ? { maxBytes: Number(IMPORT_RESULTS_BYTES) } : undefined,
      reconciling: SILENT_MINUTES ? { silentMinutes: Number(SILENT_MINUTES), cron: RECONCILE_CRON } : undefined,
    }),
  ],
})
