'use client'

import { useCallback, useEffect, useRef } from 'react'
import type { Validate } from 'payload'

/** A field's validation by what is known to be wrong with it, as of when it is asked. */
export function useValidation(message: string | undefined): Validate {
  const latest = useRef(message)
  useEffect(() => {
    latest.current = message
  }, [message])
  // Anew with each message, so that the form asks again.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  return useCallback(() => latest.current ?? true, [message])
}
