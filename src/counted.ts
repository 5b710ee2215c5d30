/** A number with what it counts, for a reader: `1 row`, `2,000 rows`, `1 entry`. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`;
}
