const frameLocation = /\(?((?:file:\/\/)?[^()\s]+:\d+:\d+)\)?$/;
// This file stands in src/pool or dist/pool: everything two levels up that is the library's own is no call site.
const ownRoot = new URL('..', import.meta.url).pathname;

/**
 * Remembers where a query was asked for. The stack is only formatted when somebody reads it, so this costs about a
 * microsecond; it is taken only while somebody wants to know (shadow mode, missing contexts).
 */
export function captureCallSite(): Error {
  return new Error('call site');
}

/** The first frame of the application: not this library, not its dependencies, not Node. */
export function callSiteOf(captured: Error | undefined): string | undefined {
  const frames = captured?.stack?.split('\n').slice(1) ?? [];
  for (const frame of frames) {
    if (frame.includes('node_modules') || frame.includes('node:')) continue;
    const location = frameLocation.exec(frame.trim())?.[1]?.replace(/^file:\/\//, '');
    if (location === undefined || isOwn(location)) continue;
    return location;
  }
  return undefined;
}

function isOwn(location: string): boolean {
  return location.startsWith(ownRoot) && !/\.test\.[tj]s:/.test(location);
}
