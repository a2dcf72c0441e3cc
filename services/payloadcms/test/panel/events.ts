import type { PanelTask } from '../../src/panel/task.ts'

/** Where the feed is from. */
export const SERVICE = 'http://service'

export const task = (given: Partial<PanelTask> = {}): PanelTask => ({
  id: 1,
  project: 5,
  status: 'pending',
  results: [],
  taskId: 't-1',
  requestId: 'media-task-1',
  seq: 2,
  attempt: 0,
  updatedAt: '2026-01-01T00:00:00Z',
  ...given,
})
export const view = (given: object = {}) => ({
  id: 't-1',
  project_id: 'p',
  seq: 3,
  status: 'processing',
  phase: 'generating',
  attempt: 1,
  ...given,
})
export const progressed = (fraction: number, given: object = {}) => ({
  task_id: 't-1',
  project_id: 'p',
  attempt: 1,
  phase: 'generating',
  progress: { step: fraction * 10, total: 10, fraction, eta_seconds: 2 },
  ...given,
})
/** What an event has besides when there is a new preview. */
export const preview = (link: string) => ({ preview_url: `/api/v1/media/previews/t-1?link=${link}` })
