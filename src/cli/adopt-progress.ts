import type { AdoptEvent } from '../adopt/index.ts';
import { counted } from '../counted.ts';
import type { Progress, Terminal } from './terminal.ts';

/** Shows the events of an adoption: a line per phase, a bar for the backfill, and who was waited for. */
export function adoptProgress(terminal: Terminal): { onEvent(event: AdoptEvent): void; end(): void } {
  let current:
    | { phase: string; progress: Progress; steps: number; done: number; rows: Map<string, number> }
    | undefined;
  const end = (): void => {
    if (current === undefined) return;
    const whole = current.done === current.steps;
    const rows = [...current.rows.values()].reduce((sum, n) => sum + n, 0);
    current.progress.end(
      `${whole ? terminal.paint('good', 'done') : terminal.paint('warn', 'stopped')}${rows === 0 ? '' : `, ${counted(rows, 'row')}`}`,
    );
    current = undefined;
  };
  return {
    end,
    onEvent(event) {
      switch (event.type) {
        case 'phase':
          end();
          current = {
            phase: event.phase,
            progress: terminal.progress(event.phase.padEnd(9)),
            steps: event.steps,
            done: 0,
            rows: new Map(),
          };
          break;
        case 'step':
          if (current === undefined) break;
          current.done += 1;
          current.progress.update(current.done, current.steps, event.table ?? '');
          break;
        case 'progress': {
          if (current === undefined) break;
          current.rows.set(event.table, event.rows);
          const left = Number.isFinite(event.secondsLeft) ? `, ${Math.ceil(event.secondsLeft)} s left` : '';
          const rate = `${Math.round(event.rowsPerSecond).toLocaleString('en-US')} rows/s`;
          current.progress.update(
            current.done + event.fraction,
            Math.max(1, current.steps),
            `${event.table} ${counted(event.rows, 'row')}, ${rate}${left}`,
          );
          break;
        }
        case 'lock':
          if (event.outcome !== 'done')
            terminal.note(
              terminal.paint(
                'warn',
                `${event.outcome} at ${event.id}, attempt ${event.attempt}: ${event.blockers.join('; ') || 'blocker gone'}`,
              ),
            );
          break;
        case 'waiting':
          terminal.note(terminal.paint(event.over ? 'dim' : 'warn', event.message));
          break;
        case 'log':
          terminal.note(`${terminal.paint('dim', event.hook)}: ${event.message}`);
          break;
        case 'hook':
          terminal.note(
            terminal.paint(
              'dim',
              `${event.outcome} ${event.name}${event.organization === null ? '' : ` (${event.organization})`}`,
            ),
          );
          break;
        case 'reveal':
          break; // the command shows it behind its result
        case 'warning':
          terminal.note(terminal.paint('warn', event.message));
          break;
      }
    },
  };
}
