'use client'

import './panel.css'

import type { DefaultCellComponentProps } from 'payload'
import { useMemo, useState } from 'react'

import { readTask } from '../panel/task.ts'
import { titleOf } from '../panel/words.ts'
import { MediumIcon } from './MediumIcon.tsx'
import { useApi, useLiveTask } from './useLiveTask.ts'

/** In the list: a small picture of the result, once there is one. */
export function ThumbnailCell({ rowData, collectionSlug }: DefaultCellComponentProps) {
  const given = useMemo(() => readTask(rowData), [rowData])
  const task = useLiveTask(given, collectionSlug)
  const api = useApi(collectionSlug)
  const [broken, setBroken] = useState<string>()
  if (!task) return null
  const result = task.status === 'done' ? task.results[0] : undefined
  const shown = result?.hasThumbnail && broken !== result.mediaId ? result : undefined
  return (
    <span className={`media-task-thumbnail${result ? '' : ' media-task-thumbnail--empty'}`}>
      {shown ? (
        <img
          src={api.result(task.id, true)}
          alt={`Result of ${titleOf(task)}`}
          loading="lazy"
          onError={() => {
            setBroken(shown.mediaId)
          }}
        />
      ) : (
        <MediumIcon medium={task.medium ?? 'image'} />
      )}
    </span>
  )
}
