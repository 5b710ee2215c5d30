export interface ExplainRequest {
  readonly table: string;
}
export interface Explanation {
  readonly verdict: string;
}
export async function explainRow(_a: unknown, _s: string, _r: ExplainRequest): Promise<Explanation> {
  return { verdict: '' };
}
