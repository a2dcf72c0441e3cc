'use client'

import './panel.css'

import { Link, useConfig } from '@payloadcms/ui'
import type { DefaultCellComponentProps } from 'payload'

import { titleOf } from '../panel/words.ts'

/** The title, or what was asked for where there is none. */
export function TitleCell({ rowData, collectionSlug, link, linkURL, onClick, cellData }: DefaultCellComponentProps) {
  const { config } = useConfig()
  const { id } = rowData as { id: number | string }
  const title = titleOf(rowData as { id: number | string; title?: string; prompt?: string })
  const shown = <span className="media-task-title">{title}</span>
  if (onClick) {
    return (
      <button
        type="button"
        onClick={() => {
          onClick({ cellData, collectionSlug, rowData })
        }}
      >
        {shown}
      </button>
    )
  }
  if (!link) return shown
  const href = linkURL ?? `${config.routes.admin}/collections/${collectionSlug}/${encodeURIComponent(id)}`
  return (
    <Link href={href} prefetch={false}>
      {shown}
    </Link>
  )
}
