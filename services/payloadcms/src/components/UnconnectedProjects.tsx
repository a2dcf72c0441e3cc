import './panel.css'

import type { ListViewServerPropsOnly } from 'payload'

interface Given extends ListViewServerPropsOnly {
  projects: string
}

const REASONS: Record<string, string> = {
  unconnected: 'has no API key of Movie Tasks yet. An administrator can enter one in the project.',
  refused: 'is not connected, because Movie Tasks refuses its API key. An administrator has to enter another.',
  unreachable: 'is not connected, because Movie Tasks does not answer. It is tried again by itself.',
}

/** Above the list of tasks: which of the user's projects cannot ask for anything right now, and why. */
export async function UnconnectedProjects({ payload, user, projects }: Given) {
  const options = { collection: projects, user, overrideAccess: false, depth: 0, limit: 10 }
  const found = await payload.find({
    ...options,
    where: { 'connection.state': { in: Object.keys(REASONS) } },
    sort: 'name',
  })
  const all = found.totalDocs > 0 ? found.totalDocs : (await payload.count(options)).totalDocs
  if (all === 0) {
    return <p className="media-task-notice">You are a member of no project yet, so there is nothing to see here.</p>
  }
  if (found.totalDocs === 0) return null
  return (
    <ul className="media-task-notice">
      {found.docs.map((project) => {
        const { id, name, connection } = project as { id: string; name: string; connection?: { state?: string } }
        return (
          <li key={id}>
            <strong>{name}</strong> {REASONS[connection?.state ?? '']}
          </li>
        )
      })}
    </ul>
  )
}
