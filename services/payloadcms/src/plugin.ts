import type { CollectionConfig, Config, Plugin as PayloadPlugin } from 'payload'

import { Catalogs } from './catalog/cache.ts'
import { eventsCollection, uploadsCollection } from './collections/ledgers.ts'
import { mediaCollection } from './collections/media.ts'
import { projectsCollection } from './collections/projects.ts'
import { tasksCollection } from './collections/tasks.ts'
import type { Plugin } from './context.ts'
import { taskEndpoints } from './endpoints/endpoints.ts'
import { withJobs } from './jobs/jobs.ts'
import { settingsOf, type MediaTasksOptions } from './options.ts'
import { projectHooks } from './projects/hooks.ts'
import { taskHooks } from './tasks/hooks.ts'

/** Projects and media tasks of Movie Tasks as collections of this Payload. */
export function mediaTasksPlugin(options: MediaTasksOptions): PayloadPlugin {
  return (config) => {
    const settings = settingsOf(options, config.admin?.user ?? 'users', config.routes?.api ?? '/api')
    const plugin: Plugin = { settings, catalogs: new Catalogs(settings) }
    const collections = [...(config.collections ?? []), ...addedCollections(plugin, config)]
    const extended: Config = { ...config, collections }
    return settings.disabled ? extended : withJobs(plugin, extended)
  }
}

function addedCollections(plugin: Plugin, config: Config): CollectionConfig[] {
  const { settings } = plugin
  const projects = projectsCollection(settings)
  const tasks = tasksCollection(settings)
  const hasMedia = config.collections?.some(({ slug }) => slug === settings.slugs.media)
  return [
    settings.disabled ? projects : { ...projects, hooks: projectHooks(plugin) },
    settings.disabled ? tasks : { ...tasks, hooks: taskHooks(plugin), endpoints: taskEndpoints(plugin) },
    ...(hasMedia ? [] : [mediaCollection(settings)]),
    eventsCollection(settings),
    uploadsCollection(settings),
  ]
}
