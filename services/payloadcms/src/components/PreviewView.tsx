'use client'

import { useEffect, useState } from 'react'

import { failed, loaded, NO_PICTURES, told } from '../panel/preview.ts'
import type { PanelTask } from '../panel/task.ts'
import { previewInWords, titleOf } from '../panel/words.ts'
import { MediumIcon } from './MediumIcon.tsx'

/** Where the result of an open task will be: how far it has come, once there is a picture of that. */
export function PreviewView({ task }: { task: PanelTask }) {
  const [{ shown, coming }, setPictures] = useState(NO_PICTURES)
  useEffect(() => {
    setPictures((pictures) => told(pictures, task.preview))
  }, [task.preview])
  return (
    <div className="media-task-result">
      <div className="media-task-result__media media-task-preview">
        {!shown && <MediumIcon medium={task.medium ?? 'image'} />}
        {[shown, coming].map(
          (address) =>
            address && (
              // The same element before it is shown and then, so that it is not asked for twice.
              <img
                key={address}
                src={address}
                alt={`Preview of ${titleOf(task)}`}
                decoding="sync"
                hidden={address !== shown}
                onLoad={() => setPictures((pictures) => loaded(pictures, address))}
                onError={() => setPictures((pictures) => failed(pictures, address))}
              />
            ),
        )}
      </div>
      <p className="media-task-facts">{shown && previewInWords(task)}</p>
    </div>
  )
}
