import type { Access, FieldAccess, PayloadRequest, Where } from 'payload'

import { idOf, type Id } from '../documents.ts'
import type { Settings } from '../options.ts'

const REMEMBERED = 'mediaTasksProjects'

export function isAdmin(settings: Settings, req: PayloadRequest): boolean {
  return req.user !== null && settings.access.isAdmin(req.user)
}

/** The projects whose member the request's user is. Looked up once per request. */
export async function projectsOf(settings: Settings, req: PayloadRequest): Promise<Id[]> {
  if (!req.user) return []
  const remembered = req.context[REMEMBERED]
  if (Array.isArray(remembered)) return remembered as Id[]
  const found = await req.payload.find({
    collection: settings.slugs.projects,
    where: { members: { equals: req.user.id } },
    depth: 0,
    pagination: false,
    overrideAccess: true,
    req,
  })
  const ids = found.docs.map((project) => project.id)
  req.context[REMEMBERED] = ids
  return ids
}

export async function mayUseProject(settings: Settings, req: PayloadRequest, project: unknown): Promise<boolean> {
  if (!req.user) return false
  if (isAdmin(settings, req)) return true
  const id = idOf(project)
  return id !== undefined && (await projectsOf(settings, req)).some((own) => String(own) === String(id))
}

/** Admins everything, members what belongs to their projects; `field` holds a document's project. */
export function ofOwnProjects(settings: Settings, field: string): Access {
  return async ({ req }): Promise<boolean | Where> => {
    if (!req.user) return false
    if (isAdmin(settings, req)) return true
    return { [field]: { in: await projectsOf(settings, req) } }
  }
}

/** Creating in a project wants membership; asked without data, as the admin panel does, any membership will do. */
export function intoOwnProject(settings: Settings): Access {
  return async ({ req, data }) => {
    if (!req.user) return false
    if (isAdmin(settings, req)) return true
    const project: unknown = (data as { project?: unknown } | undefined)?.project
    if (project === undefined) return (await projectsOf(settings, req)).length > 0
    return mayUseProject(settings, req, project)
  }
}

export function adminsOnly(settings: Settings): Access {
  return ({ req }) => isAdmin(settings, req)
}

export const nobody = (): false => false

/** Of a field that only this plugin writes, through the Local API. */
export const readOnly: { create: FieldAccess; update: FieldAccess } = { create: nobody, update: nobody }

/** Of a field that no API gives out. */
export const secret: { create: FieldAccess; read: FieldAccess; update: FieldAccess } = { ...readOnly, read: nobody }
