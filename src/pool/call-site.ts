const frameLocation = /\(?((?:file:\/\/)?[^()\s]+:\d+:\d+)\)?$/;
// What stands between an application and its database: in src/ here, in dist/ where it is installed.
const ownFolders = ['pool', 'context', 'database', 'adapters', 'directory', 'resources', 'audit'].map(
  (folder) => new URL(`../${folder}/`, import.meta.url).pathname,
);
const depth = 50;

/**
 * Remembers where a query was asked for. The stack is only formatted when somebody reads it, so this costs about a
 * microsecond; it is taken only while somebody wants to know (shadow mode, missing contexts).
 */
export function captureCallSite(): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = depth; // an ORM puts its own frames in between
  const captured = new Error('call site');
  Error.stackTraceLimit = stackTraceLimit;
  return captured;
}

/** The first frame of the application: not this library, not its dependencies, not Node. */
export function callSiteOf(captured: Error | undefined): string | undefined {
  const frames = captured?.stack?.split('\n').slice(1) ?? [];
  for (const frame of frames) {
    if (frame.includes('node_modules') || frame.includes('node:')) continue;
    const location = frameLocation.exec(frame.trim())?.[1]?.replace(/^file:\/\//, '');
    if (location === undefined || isOwn(location)) continue;
    return location.startsWith(`${process.cwd()}/`) ? location.slice(process.cwd().length + 1) : location;
  }
  return undefined;
}

function isOwn(location: string): boolean {
  return ownFolders.some((folder) => location.startsWith(folder)) && !/\.test\.[tj]s:/.test(location);
}
