'use client'

import './panel.css'

import { useDocumentInfo } from '@payloadcms/ui'
import { useMemo } from 'react'

import { mayHavePreviews } from '../panel/preview.ts'
import { readTask, type PanelTask } from '../panel/task.ts'
import { advice, outlookInWords, phaseInWords, reminderInWords, stepsInWords } from '../panel/words.ts'
import { PreviewView } from './PreviewView.tsx'
import { ResultView } from './ResultView.tsx'
import { ProgressBar, StatusBadge } from './StatusBadge.tsx'
import { TaskActions } from './TaskActions.tsx'
import { useLiveTask } from './useLiveTask.ts'

/** At the top of a task's document: what is happening to it, what became of it, and what can be done. */
export function TaskPanel() {
  const { data, collectionSlug = '', hasSavePermission = false } = useDocumentInfo()
  const saved = useMemo(() => readTask(data), [data])
  const task = useLiveTask(saved, collectionSlug)
  if (!task) return null
  return (
    <section className="media-task-panel" aria-label="Media task" data-media-task={task.id}>
      <div className="media-task-panel__head">
        <StatusBadge task={task} />
        <span className="media-task-panel__phase" role="status">
          {phaseInWords(task)}
        </span>
        <span className="media-task-panel__steps">{stepsInWords(task)}</span>
      </div>
      <ProgressBar task={task} />
      <Times task={task} />
      <Trouble task={task} />
      {mayHavePreviews(task) && <PreviewView task={task} />}
      {task.status === 'done' && <ResultView task={task} collectionSlug={collectionSlug} />}
      <TaskActions task={task} collectionSlug={collectionSlug} allowed={hasSavePermission} />
    </section>
  )
}

function Times({ task }: { task: PanelTask }) {
  const outlook = outlookInWords(task)
  const reminded = task.reminded ?? []
  if (!outlook && reminded.length === 0) return null
  return (
    <div className="media-task-panel__times">
      {outlook && <p>{outlook}</p>}
      {reminded.map((one) => (
        <p key={one.at}>{reminderInWords(one)}</p>
      ))}
    </div>
  )
}

function Trouble({ task }: { task: PanelTask }) {
  const todo = advice(task)
  const { title, detail, code } = task.error ?? {}
  if (!todo && !title && !task.importError) return null
  return (
    <div className={`media-task-trouble${title ? ' media-task-trouble--error' : ''}`} role={title ? 'alert' : 'note'}>
      {title && <strong>{title}</strong>}
      {detail && <p>{detail}</p>}
      {task.importError && <p>The result is not in the media collection: {task.importError}</p>}
      {todo && <p className="media-task-trouble__todo">{todo}</p>}
      {code && <code>{code}</code>}
    </div>
  )
}
