import type { CollectionConfig, UploadConfig } from 'payload'

type Access = NonNullable<CollectionConfig['access']>

export interface MediaTasksSlugs {
  projects: string
  tasks: string
  /** An upload collection. When the config has one of this slug, it is used as it is. */
  media: string
  events: string
  uploads: string
}

export interface MediaTasksOptions {
  service: {
    /** Base address of Movie Tasks as this server reaches it, such as `http://movie-tasks:8000`. */
    url: string
    /** The same as browsers reach it, where that differs. */
    publicUrl?: string
  }
  dapr: {
    /** The sidecar's HTTP address, such as `http://127.0.0.1:3500`. */
    endpoint: string
    apiToken?: string
    /** Defaults to `events`. */
    pubsub?: string
    /** Defaults to `task-requests`. */
    topic?: string
  }
  webhook: {
    /** Base address of this Payload as the service reaches it; the path of the webhook is appended. */
    url: string
  }
  /** Keeps a copy of each result in the media collection. Without it results stay with the service. */
  importResults?: {
    /** A larger result is not imported. */
    maxBytes: number
    /** Where else than at the service a result may be fetched from, such as `https://media.example.com`. */
    origins?: string[]
  }
  /** Of the media collection that the plugin adds, such as `staticDir` and `imageSizes`. */
  mediaUpload?: UploadConfig
  access?: {
    /** Who sees and changes everything. Defaults to users with `admin` in `roles`, or as their `role`. */
    isAdmin?: (user: Record<string, unknown>) => boolean
    /** Replace the access functions of a collection one by one; field access stays as it is. */
    projects?: Access
    tasks?: Access
    media?: Access
  }
  publishing?: {
    /** How often publishing is tried before a document becomes `unpublished`. Defaults to 12, which is about an hour. */
    attempts?: number
    /** The wait after the first try in milliseconds; it doubles with each. Defaults to 1000. */
    delay?: number
  }
  reconciling?: {
    /** When open tasks nothing was heard of are looked for, as cron. Defaults to every minute. */
    cron?: string
    /** After how many minutes of silence a task is asked for. Defaults to 5. */
    silentMinutes?: number
  }
  /** The W3C `traceparent` of the active span, where Payload is traced. Defaults to the one that a request brings. */
  traceparent?: () => string | undefined
  /** Defaults to true. Set it to false where another process runs the jobs of the queue `media-tasks`. */
  autoRun?: boolean
  /** For how many seconds a catalog is taken for new. Defaults to 30. */
  catalogSeconds?: number
  slugs?: Partial<MediaTasksSlugs>
  /** Keeps the collections, so that the database stays as it is, and does nothing else. */
  disabled?: boolean
}

/** The options with all defaults filled in. */
export interface Settings {
  service: { url: string; publicUrl: string }
  dapr: { endpoint: string; apiToken?: string; pubsub: string; topic: string }
  webhook: { url: string }
  importResults?: { maxBytes: number; origins: string[] }
  mediaUpload: UploadConfig
  access: NonNullable<MediaTasksOptions['access']> & { isAdmin: (user: Record<string, unknown>) => boolean }
  publishing: { attempts: number; delay: number }
  reconciling: { cron: string; silentMinutes: number }
  traceparent?: () => string | undefined
  autoRun: boolean
  catalogSeconds: number
  slugs: MediaTasksSlugs
  usersSlug: string
  disabled: boolean
}

export const QUEUE = 'media-tasks'

export function settingsOf(options: MediaTasksOptions, usersSlug: string, apiRoute: string): Settings {
  const slugs: MediaTasksSlugs = {
    projects: 'projects',
    tasks: 'media-tasks',
    media: 'media',
    events: 'media-tasks-events',
    uploads: 'media-tasks-uploads',
    ...options.slugs,
  }
  const url = base(options.service.url)
  return {
    service: { url, publicUrl: base(options.service.publicUrl ?? url) },
    dapr: { pubsub: 'events', topic: 'task-requests', ...options.dapr, endpoint: base(options.dapr.endpoint) },
    webhook: { url: `${base(options.webhook.url)}${apiRoute}/${slugs.tasks}/webhook` },
    importResults: options.importResults && {
      maxBytes: options.importResults.maxBytes,
      origins: [url, ...(options.importResults.origins ?? [])].map((address) => new URL(address).origin),
    },
    mediaUpload: options.mediaUpload ?? {},
    access: { isAdmin: hasAdminRole, ...options.access },
    publishing: { attempts: options.publishing?.attempts ?? 12, delay: options.publishing?.delay ?? 1000 },
    reconciling: {
      cron: options.reconciling?.cron ?? '* * * * *',
      silentMinutes: options.reconciling?.silentMinutes ?? 5,
    },
    traceparent: options.traceparent,
    autoRun: options.autoRun ?? true,
    catalogSeconds: options.catalogSeconds ?? 30,
    slugs,
    usersSlug,
    disabled: options.disabled ?? false,
  }
}

function base(address: string): string {
  return address.replace(/\/+$/, '')
}

function hasAdminRole(user: Record<string, unknown>): boolean {
  return user.role === 'admin' || (Array.isArray(user.roles) && user.roles.includes('admin'))
}
