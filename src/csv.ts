const formula = /^[=+\-@\t\r]/;
const number = /^[+-]?\d+(?:\.\d+)?$/;

/**
 * A cell as RFC 4180 writes it; null is empty, empty text is `""`. A spreadsheet runs what begins like a formula, and ids, names and
 * reasons are people's text: such a cell begins with an apostrophe. Plain numbers stay what they are.
 */
export function csvCell(value: string | number | Date | null | undefined): string {
  if (value === null || value === undefined) return '';
  const text = value instanceof Date ? value.toISOString() : String(value);
  const safe = formula.test(text) && !number.test(text) ? `'${text}` : text;
  return /[",\r\n]|^\s|\s$/.test(safe) || safe === '' ? `"${safe.replaceAll('"', '""')}"` : safe;
}
