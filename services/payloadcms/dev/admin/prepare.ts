/** Brings the database to the schema, and begins it: with one admin and, where a key is given, one project. */

import { getPayload } from 'payload'

import config from './payload.config.ts'

const { ADMIN_EMAIL, ADMIN_PASSWORD, MOVIE_TASKS_PROJECT, MOVIE_TASKS_KEY } = process.env

const payload = await getPayload({ config })

if (ADMIN_EMAIL && ADMIN_PASSWORD && (await payload.count({ collection: 'users' })).totalDocs === 0) {
  await payload.create({ collection: 'users', data: { email: ADMIN_EMAIL, password: ADMIN_PASSWORD } })
}

if (MOVIE_TASKS_PROJECT && MOVIE_TASKS_KEY) {
  const where = { serviceProject: { equals: MOVIE_TASKS_PROJECT } }
  const data = { name: MOVIE_TASKS_PROJECT, serviceProject: MOVIE_TASKS_PROJECT, apiKey: MOVIE_TASKS_KEY }
  const known = await payload.find({ collection: 'projects', where, limit: 1 })
  if (known.docs[0]) await payload.update({ collection: 'projects', id: known.docs[0].id, data })
  else await payload.create({ collection: 'projects', data })
}

await payload.destroy()
// The database adapter keeps the process alive.
process.exit(0)
