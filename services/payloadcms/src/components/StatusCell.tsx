'use client'

import './panel.css'

import type { DefaultCellComponentProps } from 'payload'
import { useMemo } from 'react'

import { readTask } from '../panel/task.ts'
import { phaseInWords } from '../panel/words.ts'
import { ProgressBar, StatusBadge } from './StatusBadge.tsx'
import { useLiveTask } from './useLiveTask.ts'

/** In the list: where a task is, as it goes on. */
export function StatusCell({ rowData, collectionSlug }: DefaultCellComponentProps) {
  const given = useMemo(() => readTask(rowData), [rowData])
  const task = useLiveTask(given, collectionSlug)
  if (!task) return null
  return (
    <span className="media-task-status" title={task.error?.detail ?? phaseInWords(task)} data-media-task={task.id}>
      <StatusBadge task={task} />
      <ProgressBar task={task} thin />
    </span>
  )
}
