'use client'

import { useState } from 'react'

import { factsOf, titleOf } from '../panel/words.ts'
import type { PanelTask, TaskResult } from '../panel/task.ts'
import { useApi } from './useLiveTask.ts'

/** What a task has made, to look at or listen to, with what is to know of it. */
export function ResultView({ task, collectionSlug }: { task: PanelTask; collectionSlug: string }) {
  const api = useApi(collectionSlug)
  const [broken, setBroken] = useState(false)
  const result = task.results[0]
  if (!result) {
    return (
      <div className="media-task-result">
        <div className="media-task-result__media" aria-busy="true">
          Fetching the result…
        </div>
      </div>
    )
  }
  // The media's id changes when a task is run again; the address does not.
  const address = `${api.result(task.id)}?of=${encodeURIComponent(result.mediaId)}`
  const facts = factsOf(result)
  return (
    <div className="media-task-result">
      <div className="media-task-result__media">
        {broken ? (
          <p role="alert">The result cannot be shown. It may have been removed, or Movie Tasks is away.</p>
        ) : (
          <Media
            key={result.mediaId}
            task={task}
            result={result}
            address={address}
            poster={result.hasThumbnail ? api.result(task.id, true) : undefined}
            onError={() => {
              setBroken(true)
            }}
          />
        )}
      </div>
      <dl className="media-task-facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        <div>
          <dt>File</dt>
          <dd>
            <a href={address} target="_blank" rel="noreferrer">
              Open
            </a>
          </dd>
        </div>
      </dl>
    </div>
  )
}

interface Shown {
  task: PanelTask
  result: TaskResult
  address: string
  poster: string | undefined
  onError: () => void
}

function Media({ task, result, address, poster, onError }: Shown) {
  const name = `Result of ${titleOf(task)}`
  if (result.contentType.startsWith('video/')) {
    return <video src={address} poster={poster} controls loop preload="metadata" aria-label={name} onError={onError} />
  }
  if (result.contentType.startsWith('audio/')) {
    return (
      <>
        {poster && <img src={poster} alt={`Waveform: ${name}`} />}
        <audio src={address} controls preload="metadata" aria-label={name} onError={onError} />
      </>
    )
  }
  return <img src={address} alt={name} onError={onError} />
}
