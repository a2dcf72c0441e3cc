import type { Config, Payload, TaskConfig } from 'payload'

import { findProject, type Plugin } from '../context.ts'
import { QUEUE } from '../options.ts'
import { connect } from '../projects/connecting.ts'
import { reason } from '../service/client.ts'
import { cancelTask } from './cancelling.ts'
import { importResult, noteImportFailure } from './importing.ts'
import { giveUpPublishing, publishTask } from './publishing.ts'
import { CANCEL, CONNECT, IMPORT, PUBLISH, RECONCILE } from './queueing.ts'
import { reconcile } from './reconciling.ts'

type Callback = NonNullable<TaskConfig['onFail']>
/** Payload derives what a handler takes from types generated for each config; a plugin has none. */
type Job<Input extends object> = Omit<TaskConfig, 'handler' | 'onFail'> & {
  handler: Work<Input>
  whenSpent?: Work<Input>
}

/** With the waits doubling from a second on, about an hour. */
const PATIENT = { attempts: 11, backoff: { type: 'exponential', delay: 1000 } } as const
const IMPORT_RETRIES = { attempts: 5, backoff: { type: 'exponential', delay: 1000 } } as const

export function withJobs(plugin: Plugin, config: Config): Config {
  const jobs = config.jobs ?? {}
  const own = { cron: '* * * * * *', queue: QUEUE, limit: 20, silent: true }
  const { autoRun } = jobs
  const running: typeof autoRun =
    typeof autoRun === 'function' ? async (payload) => [...(await autoRun(payload)), own] : [...(autoRun ?? []), own]
  return {
    ...config,
    jobs: {
      ...jobs,
      tasks: [
        ...(jobs.tasks ?? []),
        connecting(plugin),
        publishing(plugin),
        cancelling(plugin),
        importing(plugin),
        reconciling(plugin),
      ],
      ...(plugin.settings.autoRun ? { autoRun: running } : {}),
    },
  }
}

function connecting(plugin: Plugin): TaskConfig {
  return job<{ project: string }>({
    slug: CONNECT,
    inputSchema: [{ name: 'project', type: 'text', required: true }],
    retries: PATIENT,
    handler: async ({ project: id }, payload) => {
      const project = await findProject(plugin.settings, payload, id)
      if (project) await connect(plugin, payload, project)
    },
  })
}

function publishing(plugin: Plugin): TaskConfig {
  const { attempts, delay } = plugin.settings.publishing
  return job<{ task: string; traceparent?: string }>({
    slug: PUBLISH,
    inputSchema: [
      { name: 'task', type: 'text', required: true },
      { name: 'traceparent', type: 'text' },
    ],
    retries: { attempts: attempts - 1, backoff: { type: 'exponential', delay } },
    handler: ({ task, traceparent }, payload) => publishTask(plugin, payload, task, traceparent),
    whenSpent: ({ task }, payload) => giveUpPublishing(plugin, payload, task),
  })
}

function cancelling(plugin: Plugin): TaskConfig {
  return job<{ project: string; taskId: string }>({
    slug: CANCEL,
    inputSchema: [
      { name: 'project', type: 'text', required: true },
      { name: 'taskId', type: 'text', required: true },
    ],
    retries: PATIENT,
    handler: ({ project, taskId }, payload) => cancelTask(plugin, payload, project, taskId),
  })
}

function importing(plugin: Plugin): TaskConfig {
  return job<{ task: string }>({
    slug: IMPORT,
    inputSchema: [{ name: 'task', type: 'text', required: true }],
    retries: IMPORT_RETRIES,
    handler: ({ task }, payload) => importResult(plugin, payload, task),
    whenSpent: ({ task }, payload) => noteImportFailure(plugin, payload, task),
  })
}

function reconciling(plugin: Plugin): TaskConfig {
  return job<object>({
    slug: RECONCILE,
    schedule: [{ cron: plugin.settings.reconciling.cron, queue: QUEUE }],
    handler: (_input, payload) => reconcile(plugin, payload),
  })
}

type Work<Input extends object> = (input: Input, payload: Payload) => Promise<void>

function job<Input extends object>({ handler, whenSpent, ...config }: Job<Input>): TaskConfig {
  const attempts = typeof config.retries === 'object' ? (config.retries.attempts ?? 0) : 0
  const onFail: Callback = async ({ input, req, taskStatus }) => {
    // Called for every failure, with the tries before this one.
    if ((taskStatus?.totalTried ?? 0) >= attempts) await whenSpent?.(input as Input, req.payload)
  }
  return {
    ...config,
    handler: async ({ input, req }: { input: object; req: { payload: Payload } }) => {
      try {
        await handler(input as Input, req.payload)
      } catch (error) {
        // Payload's own log of it would be the whole job, without the cause.
        req.payload.logger.warn({ msg: `${config.slug} failed`, input, reason: reason(error) })
        throw error
      }
      return { output: {} }
    },
    onFail,
  } as TaskConfig
}
