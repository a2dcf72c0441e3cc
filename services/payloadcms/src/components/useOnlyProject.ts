'use client'

import { useConfig, useDocumentInfo, useFormFields } from '@payloadcms/ui'
import { useEffect } from 'react'

/** Whoever has just one project need not choose it. */
export function useOnlyProject(projects: string): void {
  const { config } = useConfig()
  const { id } = useDocumentInfo()
  const [given, dispatch] = useFormFields(([fields, dispatch]) => [fields.project?.value, dispatch] as const)
  const wanted = id === undefined && (given ?? undefined) === undefined
  const address = `${config.serverURL}${config.routes.api}/${projects}?limit=2&depth=0`
  useEffect(() => {
    if (!wanted) return
    const aborting = new AbortController()
    fetch(address, { credentials: 'include', signal: aborting.signal })
      .then((answer) => answer.json() as Promise<{ docs?: { id: number | string }[] }>)
      .then(({ docs }) => {
        const only = docs?.length === 1 ? docs[0] : undefined
        if (only) dispatch({ type: 'UPDATE', path: 'project', value: only.id })
      })
      // Then it is chosen by hand.
      .catch(() => undefined)
    return () => {
      aborting.abort()
    }
    // Once for each form: a project that was taken back on purpose stays away.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [address, dispatch])
}
