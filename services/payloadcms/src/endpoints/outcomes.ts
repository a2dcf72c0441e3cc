import type { Action, Priority, Status } from '../vocabulary.ts'

interface After {
  status: Status
  priority?: Priority | null
  cancelRequested?: boolean | null
}

/** How an action went, in words for whoever asked for it. */
export function outcomeOf(action: Action, after: After): string {
  switch (action) {
    case 'cancel':
      return after.status === 'cancelled' ? 'The task is cancelled.' : 'The task is told to stop, at its next step.'
    case 'retry':
      return 'The task is asked for again.'
    case 'prioritise':
      return `The task’s priority is ${after.priority ?? 'medium'}.`
    case 'duplicate':
      return 'A copy is asked for, with a seed of its own.'
    case 'refresh':
      return 'This is what Movie Tasks says of the task.'
  }
}
