/**
 * An origin as keys hold it: scheme and host in lower case, no default port; `https://*.example.com` stands for every
 * name below. Undefined when a text is none.
 */
export function normalOrigin(text: string): string | undefined {
  const wild = /^([a-z][a-z0-9+.-]*:\/\/)\*\.(.+)$/i.exec(text);
  const origin = parsedOrigin(wild === null ? text : `${wild[1]}${wild[2]}`);
  if (origin === undefined || wild === null) return origin;
  return origin.replace('://', '://*.');
}

function parsedOrigin(text: string): string | undefined {
  if (text.includes('*') || text.includes('@') || !URL.canParse(text)) return undefined;
  const { protocol, host, pathname, search, hash } = new URL(text);
  if (host === '' || !['', '/'].includes(pathname) || search !== '' || hash !== '' || text.endsWith('/'))
    return undefined;
  return `${protocol}//${host}`;
}

/** Whether a request's Origin header is among the allowed ones. No header, and `null`, are not. */
export function originAllowed(allowed: readonly string[], origin: string | undefined): boolean {
  if (origin === undefined) return false;
  const normal = origin.includes('*') ? undefined : normalOrigin(origin);
  if (normal === undefined) return false;
  return allowed.some((one) => {
    if (one === normal) return true;
    const star = one.indexOf('*');
    if (star === -1) return false;
    const [scheme, rest] = [one.slice(0, star), one.slice(star + 1)];
    return normal.startsWith(scheme) && normal.endsWith(rest) && normal.length > scheme.length + rest.length;
  });
}
