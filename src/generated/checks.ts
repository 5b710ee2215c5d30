// Generated from sql/checks by scripts/generate-sql.mjs: do not edit.
export const checkFiles: Readonly<Record<string, string>> = {
};
