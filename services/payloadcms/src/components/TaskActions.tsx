'use client'

import { Button, toast, useConfig } from '@payloadcms/ui'
import { useRouter } from 'next/navigation'
import { useState } from 'react'

import type { PanelTask } from '../panel/task.ts'
import { actionsFrom, PRIORITIES, type Action } from '../vocabulary.ts'
import { useApi, useLiveTasks } from './useLiveTask.ts'

const BUTTONS: readonly [Exclude<Action, 'prioritise'>, string][] = [
  ['cancel', 'Cancel'],
  ['retry', 'Retry'],
  ['duplicate', 'Duplicate with a new seed'],
  ['refresh', 'Refresh'],
]

interface Given {
  task: PanelTask
  collectionSlug: string
  /** Whether the user may change the task. */
  allowed: boolean
}

/** What can be done with a task from where it is. The server says how it went. */
export function TaskActions({ task, collectionSlug, allowed }: Given) {
  const { busy, act } = useActing(task, collectionSlug)
  const possible = allowed ? actionsFrom(task.status) : []
  return (
    <div className="media-task-actions" role="group" aria-label="Actions">
      {BUTTONS.map(([action, label]) => (
        <Button
          key={action}
          type="button"
          size="small"
          margin={false}
          buttonStyle="secondary"
          disabled={
            busy !== undefined || !possible.includes(action) || (action === 'cancel' && task.cancelRequested === true)
          }
          onClick={() => void act(action)}
          extraButtonProps={{ 'data-media-task-action': action, 'aria-busy': busy === action }}
        >
          {label}
        </Button>
      ))}
      <label className="media-task-actions__priority">
        Priority
        <select
          value={task.priority ?? 'medium'}
          disabled={busy !== undefined || !possible.includes('prioritise')}
          onChange={(event) => void act('prioritise', { priority: event.target.value })}
        >
          {PRIORITIES.map((priority) => (
            <option key={priority}>{priority}</option>
          ))}
        </select>
      </label>
    </div>
  )
}

function useActing(task: PanelTask, collectionSlug: string) {
  const api = useApi(collectionSlug)
  const store = useLiveTasks(collectionSlug)
  const router = useRouter()
  const { config } = useConfig()
  const [busy, setBusy] = useState<Action>()
  const act = async (action: Action, body: object = {}) => {
    setBusy(action)
    try {
      const { task: after, message } = await api.act(task.id, action, body)
      toast.success(message)
      if (after && after.id !== task.id) {
        router.push(`${config.routes.admin}/collections/${collectionSlug}/${encodeURIComponent(after.id)}`)
      } else if (after) store.put(after)
    } catch (error) {
      toast.error(error instanceof Error ? error.message : String(error))
    } finally {
      setBusy(undefined)
    }
  }
  return { busy, act }
}
