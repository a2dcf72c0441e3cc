import { expect, it } from 'vitest'

import { newRequestId, taskIdFor } from '../src/identifiers.ts'

it('knows the id that the service gives to a request', () => {
  // What `contracts.identifiers.task_id_for` makes of the same.
  expect(taskIdFor('p-1', 'media-task-x')).toBe('8c90e50e-c431-5e80-8cac-7bc864bbc22c')
})

it('gives every request an id of its own', () => {
  expect(newRequestId()).not.toBe(newRequestId())
})
