import pg from 'pg';

/**
 * A pool's sockets close a moment after `end()` has resolved. A test that then drops its database with force would have
 * the server's last words on them end the process: pg tells them to a pool whose listeners are gone.
 */
const end = pg.Pool.prototype.end as (this: pg.Pool, ...rest: unknown[]) => unknown;
pg.Pool.prototype.end = function (this: pg.Pool, ...rest: unknown[]) {
  this.on('error', () => {});
  return end.apply(this, rest);
} as typeof pg.Pool.prototype.end;
