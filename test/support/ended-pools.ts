import pg from 'pg';

/**
 * A pool's sockets close a moment after `end()` has resolved. A test that then drops its database with force would have
 * the server's last words on them end the process: pg tells them to a pool whose listeners are gone.
 */
const kept = Symbol.for('tenantry: pools that have ended keep a listener');
const prototype = pg.Pool.prototype as unknown as { end: (...rest: unknown[]) => unknown; [kept]?: true };
// files that share a process share the driver
if (prototype[kept] !== true) {
  const { end } = prototype;
  prototype.end = function (this: pg.Pool, ...rest) {
    this.on('error', () => {});
    return end.apply(this, rest);
  };
  prototype[kept] = true;
}
