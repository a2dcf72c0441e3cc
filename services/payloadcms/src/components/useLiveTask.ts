'use client'

import { useConfig } from '@payloadcms/ui'
import { useCallback, useEffect, useMemo, useSyncExternalStore } from 'react'

import { PanelApi } from '../panel/api.ts'
import { LiveTasks } from '../panel/live/tasks.ts'
import type { PanelTask } from '../panel/task.ts'

/** All that a page shows of a collection shares one store, and so its connections. */
const stores = new Map<string, LiveTasks>()

export function useApi(collectionSlug: string): PanelApi {
  const { config } = useConfig()
  const route = `${config.serverURL}${config.routes.api}`
  return useMemo(() => new PanelApi(route, collectionSlug), [route, collectionSlug])
}

export function useLiveTasks(collectionSlug: string): LiveTasks {
  const api = useApi(collectionSlug)
  return useMemo(() => storeOf(api), [api])
}

/** The task as the page was given it, and from then on as it goes on. */
export function useLiveTask(given: PanelTask | undefined, collectionSlug: string): PanelTask | undefined {
  const store = useLiveTasks(collectionSlug)
  const id = given?.id
  const subscribe = useCallback(
    (listener: () => void) => (given ? store.watch(given, listener) : () => undefined),
    // The same task given anew is put below: watching it anew would close the feed and open another.
    // eslint-disable-next-line react-hooks/exhaustive-deps
    [store, id, given?.project],
  )
  useEffect(() => {
    if (given) store.put(given)
  }, [store, given])
  return useSyncExternalStore(
    subscribe,
    () => (id === undefined ? given : (store.get(id) ?? given)),
    () => given,
  )
}

function storeOf(api: PanelApi): LiveTasks {
  const known = stores.get(api.address)
  if (known) return known
  const store = new LiveTasks(api, (address) => new EventSource(address))
  if (typeof document !== 'undefined') {
    stores.set(api.address, store)
    document.addEventListener('visibilitychange', () => {
      store.setVisible(document.visibilityState === 'visible')
    })
  }
  return store
}
