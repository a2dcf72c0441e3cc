/** The service refuses, and would again: the request has to change, or the key. */
export class ServiceRefused extends Error {
  override name = 'ServiceRefused'
  readonly status: number
  readonly title: string
  readonly code: string
  readonly problems: FieldProblem[]

  constructor(status: number, title: string, detail: string, code: string, problems: FieldProblem[] = []) {
    super(detail)
    this.status = status
    this.title = title
    this.code = code
    this.problems = problems
  }
}

/** The service does not answer, or says that something it needs does not: the same request may do later. */
export class ServiceAway extends Error {
  override name = 'ServiceAway'
}

export interface FieldProblem {
  field: string
  detail: string
  allowed?: unknown
}

/** RFC 9457 problem details, as far as they came. */
export interface Problem {
  title: string
  detail: string
  code: string
  problems: FieldProblem[]
}

export function readProblem(found: unknown): Problem {
  const given = (typeof found === 'object' && found !== null ? found : {}) as Record<string, unknown>
  const text = (name: string, otherwise: string) => {
    const value = given[name]
    return typeof value === 'string' ? value.slice(0, 2000) : otherwise
  }
  const problems = Array.isArray(given.errors) ? given.errors.filter(isFieldProblem).slice(0, 20) : []
  return {
    title: text('title', 'Movie Tasks refused'),
    detail: text('detail', 'without saying why'),
    code: text('code', 'unknown'),
    problems,
  }
}

/** A problem in words for an editor: what is wrong, and with which fields. */
export function inWords(problem: Pick<Problem, 'detail' | 'problems'>): string {
  return [problem.detail, ...problem.problems.map(({ field, detail }) => `${field}: ${detail}`)].join('\n')
}

function isFieldProblem(found: unknown): found is FieldProblem {
  if (typeof found !== 'object' || found === null) return false
  const { field, detail } = found as Record<string, unknown>
  return typeof field === 'string' && typeof detail === 'string'
}
