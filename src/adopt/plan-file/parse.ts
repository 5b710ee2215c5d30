import { LineCounter, parseDocument } from 'yaml';
import { invalid, lineOfPath } from './lines.ts';
import { fileSchema, type PlanFile } from './schema.ts';

/** A plan file as it was read: what it says, and where. */
export interface ParsedPlanFile {
  readonly file: PlanFile;
  /** The line of a field, `['tables', 'public.orders', 'via', 0]`; that of what it stands in where it is not there. */
  lineOf(path: readonly PropertyKey[]): number;
}

/** @throws TNT_PLAN_INVALID with the line of what is not YAML, or not a plan */
export function parsePlanFile(text: string): ParsedPlanFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problem = document.errors[0];
  if (problem !== undefined) {
    throw invalid(lines.linePos(problem.pos[0]).line, `not YAML (${problem.message})`);
  }
  const lineOf = (path: readonly PropertyKey[]): number => lineOfPath(document, lines, path);
  const parsed = fileSchema.safeParse(document.toJS());
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const path = issue?.path ?? [];
    const extra = issue?.code === 'unrecognized_keys' ? [...path, issue.keys[0] ?? ''] : path;
    const field = extra.map(String).join('.');
    throw invalid(lineOf(extra), `${field === '' ? 'the plan' : field}: ${issue?.message ?? 'is not valid'}`);
  }
  return { file: parsed.data, lineOf };
}
