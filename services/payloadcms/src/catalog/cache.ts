import type { Payload } from 'payload'

import type { ProjectDocument } from '../documents.ts'
import type { Settings } from '../options.ts'
import { clientOf } from '../service/client.ts'
import { ServiceAway } from '../service/problems.ts'
import type { CatalogModel } from './models.ts'

interface Kept {
  models: CatalogModel[]
  at: number
}

/** The catalog as each project last saw it; an old one is better than none while the service is away. */
export class Catalogs {
  readonly #settings: Settings
  readonly #kept = new Map<string, Kept>()

  constructor(settings: Settings) {
    this.#settings = settings
  }

  /** Undefined when the project has no key, or the service has been away since this process began. Raises
   * `ServiceRefused`. */
  async models(payload: Payload, project: ProjectDocument): Promise<CatalogModel[] | undefined> {
    const kept = this.#kept.get(String(project.id))
    if (kept && Date.now() - kept.at < this.#settings.catalogSeconds * 1000) return kept.models
    try {
      const models = await clientOf(this.#settings, payload, project)?.models()
      if (models) this.#kept.set(String(project.id), { models, at: Date.now() })
      return models
    } catch (error) {
      if (!(error instanceof ServiceAway)) throw error
      // Asked again only after a while, so that each save does not wait for a service that is away.
      if (kept) this.#kept.set(String(project.id), { ...kept, at: Date.now() })
      return kept?.models
    }
  }
}
