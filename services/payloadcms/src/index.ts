export { mediaTasksPlugin } from './plugin.ts'
export type { MediaTasksOptions, MediaTasksSlugs } from './options.ts'
export type { CatalogModel, CatalogParameter, InputSlot } from './catalog/models.ts'
export * from './vocabulary.ts'
