import type { Medium } from '../vocabulary.ts'

const PATHS: Record<Medium, string> = {
  image: 'M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 6M16 9.5a1 1 0 1 0 .01 0',
  video: 'M3 5h18v14H3zM10 9l5 3-5 3z',
  audio: 'M4 10v4M8 7v10M12 4v16M16 8v8M20 10v4',
}

/** Stands for a result that has no picture. */
export function MediumIcon({ medium }: { medium: Medium }) {
  return (
    <svg
      className="media-task-icon"
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[medium]} />
    </svg>
  )
}
