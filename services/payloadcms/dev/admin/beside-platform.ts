/** `next dev` beside the platform that `make run` keeps running, connected to its demo project. */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

const data = path.resolve(process.env.MOVIE_TASKS_DATA ?? '../../../../.movie-tasks')
const kept = (name: string) => path.join(data, name)

if (!existsSync(kept('address.json')) || !existsSync(kept('demo-key'))) {
  console.error(`No platform runs from ${data}: start one with make run.`)
  process.exit(1)
}
const { api, dapr } = JSON.parse(readFileSync(kept('address.json'), 'utf8')) as { api: string; dapr: string }
const credentials = JSON.parse(readFileSync(kept('credentials.json'), 'utf8')) as { dapr_api_token: string }
const port = process.env.PORT ?? '3000'
const env = {
  ADMIN_EMAIL: 'admin@example.com',
  ADMIN_PASSWORD: 'admin',
  ...process.env,
  MOVIE_TASKS_URL: api,
  MOVIE_TASKS_PROJECT: 'demo',
  MOVIE_TASKS_KEY: readFileSync(kept('demo-key'), 'utf8').trim(),
  DAPR_HTTP_ENDPOINT: dapr,
  DAPR_API_TOKEN: credentials.dapr_api_token,
  PAYLOAD_URL: `http://127.0.0.1:${port}`,
  PORT: port,
}

const prepared = spawnSync(process.execPath, ['--import', 'tsx', 'prepare.ts'], { env, stdio: 'inherit' })
if (prepared.status !== 0) process.exit(prepared.status ?? 1)
console.log(`http://127.0.0.1:${port}/admin as ${env.ADMIN_EMAIL}, with the password ${env.ADMIN_PASSWORD}`)
const next = spawn('npx', ['next', 'dev', '--hostname', '127.0.0.1'], { env, stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => next.kill(signal))
next.on('exit', (code) => process.exit(code ?? 0))
