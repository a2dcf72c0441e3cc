import { describe, expect, it } from 'vitest'

import type { TaskFields } from '../src/documents.ts'
import { checkTimes } from '../src/tasks/times.ts'

const NOON = new Date('2026-06-01T12:00:00Z')

const errors = (fields: Partial<TaskFields>) =>
  checkTimes({ project: 1, model: 'm', ...fields }, NOON).map(({ path }) => path)

describe('the times of a request', () => {
  it.each<Partial<TaskFields>>([
    {},
    { startAt: '2026-06-01T10:00:00Z' },
    { startAt: '2026-06-02T10:00:00Z', dueAt: '2026-06-03T10:00:00Z', expiresAt: '2026-06-02T11:00:00Z' },
    { reminders: [{ at: '2026-06-01T13:00:00Z' }] },
    { dueAt: '2026-06-02T10:00:00Z', reminders: [{ minutesBeforeDue: 0 }, { minutesBeforeDue: 60, note: 'call' }] },
  ])('fit each other: %j', (fields) => {
    expect(errors(fields)).toEqual([])
  })

  it.each<[string, Partial<TaskFields>]>([
    ['dueAt', { dueAt: '2026-06-01T11:59:00Z' }],
    ['dueAt', { startAt: '2026-06-02T10:00:00Z', dueAt: '2026-06-02T10:00:00Z' }],
    ['expiresAt', { startAt: '2026-06-02T10:00:00Z', expiresAt: '2026-06-02T09:00:00Z' }],
    ['reminders.0.at', { reminders: [{}] }],
    ['reminders.0.at', { reminders: [{ minutesBeforeDue: 5 }] }],
    ['reminders.0.at', { reminders: [{ at: '2026-06-01T11:00:00Z' }] }],
    [
      'reminders.1.at',
      { dueAt: '2026-06-01T13:00:00Z', reminders: [{ minutesBeforeDue: 5 }, { minutesBeforeDue: 90 }] },
    ],
    [
      'reminders.0.at',
      { dueAt: '2026-06-02T13:00:00Z', reminders: [{ at: '2026-06-01T13:00:00Z', minutesBeforeDue: 5 }] },
    ],
  ])('are refused at %s: %j', (path, fields) => {
    expect(errors(fields)).toEqual([path])
  })
})
