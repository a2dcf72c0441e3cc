import type { ReactNode } from 'react'

/** What is wrong with a field, right beside it. */
export function FieldMessage({ children, id }: { children: ReactNode; id?: string }) {
  if (!children) return null
  return (
    <p className="media-task-wrong" role="alert" id={id}>
      {children}
    </p>
  )
}
