'use client'

import { percentOf, STATUS_LABELS } from '../panel/words.ts'
import type { PanelTask } from '../panel/task.ts'

/** A status by word and colour, and how far it has got. */
export function StatusBadge({ task }: { task: PanelTask }) {
  const percent = percentOf(task)
  const label = STATUS_LABELS[task.status]
  return (
    <span className={`media-task-badge media-task-badge--${task.status}`} data-media-task-status={task.status}>
      <span className="media-task-badge__dot" aria-hidden="true" />
      {percent === undefined ? label : `${label} ${percent} %`}
    </span>
  )
}

/** `thin` for a row of a list. */
export function ProgressBar({ task, thin = false }: { task: PanelTask; thin?: boolean }) {
  const percent = percentOf(task)
  if (task.status !== 'processing' && task.status !== 'pending') return null
  return (
    <span
      className={`media-task-bar${thin ? ' media-task-bar--thin' : ''}${percent === undefined ? ' media-task-bar--waiting' : ''}`}
      role="progressbar"
      aria-label="Progress"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      aria-valuetext={percent === undefined ? STATUS_LABELS[task.status] : `${percent} percent`}
    >
      <span key={percent === undefined ? 'waiting' : 'known'} style={{ width: `${percent ?? 0}%` }} />
    </span>
  )
}
