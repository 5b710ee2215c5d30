import { type AdoptStatus, type CurrentStep, describeDrift, type PhaseStatus } from '../adopt/index.ts';
import { counted } from '../counted.ts';
import type { Terminal, Tone } from './terminal.ts';

/** The state of an adoption for a person: where it is, what runs, what waits for whom, and what to do next. */
export function printStatus(terminal: Terminal, status: AdoptStatus, now = new Date()): void {
  const { line, paint } = terminal;
  line(`${headline(terminal, status)}, begun ${ago(status.startedAt, now)} (${minute(status.startedAt)} UTC)`);
  line();
  const next = status.phases.find((phase) => phase.fraction < 1);
  terminal.table(
    ['phase', 'steps', 'rows', '', 'state'],
    status.phases.map((phase) => [
      phase.phase,
      phase.steps === 0 ? '-' : `${phase.done} of ${phase.steps}`,
      phase.rowsTotal === 0
        ? '-'
        : phase.fraction === 1
          ? count(phase.rows)
          : `${count(phase.rows)} of about ${count(phase.rowsTotal)}`,
      bar(phase.fraction),
      phaseState(phase, status, phase === next),
    ]),
  );
  const waiting = [
    ...status.waiting.map(
      ({ step, blockers }) => `${step} waits for ${blockers.join('; ') || 'a session that is gone'}`,
    ),
    ...status.waits.map(({ who, table, blockers }) => `${who} waits on ${table} for ${blockers.join('; ')}`),
  ];
  const lines: (readonly [label: string, tone: Tone, text: string])[] = [
    ...status.current.map((step) => ['now', 'bold', describeStep(step, status, now)] as const),
    ...waiting.map((text) => ['waits', 'warn', text] as const),
    ...status.quarantine
      .filter(({ rows }) => rows > 0)
      .map(
        ({ table, rows }) =>
          [
            'kept',
            'warn',
            `${counted(rows, 'row')} of ${table} ${rows === 1 ? 'waits' : 'wait'} without a tenant`,
          ] as const,
      ),
    ...status.missed.map(
      ({ table, message, sqlstate }) =>
        [
          'missed',
          'warn',
          `changes of ${table} could not be followed (${sqlstate} ${message}): tenantry adopt run follows them`,
        ] as const,
    ),
    ...status.legacyLogins.map(
      ({ login, organization }) => ['login', 'plain', `${login} is ${organization} in every session`] as const,
    ),
    ...(status.lastError === null ? [] : [['error', 'bad', status.lastError] as const]),
    ...[describeDrift(status.drift)].flatMap((text) => (text === undefined ? [] : [['drift', 'warn', text] as const])),
    ['next', 'good', nextStep(status)],
  ];
  line();
  for (const [label, tone, text] of lines) line(`${paint(tone, label.padEnd(5))}  ${text}`);
  if (status.hooks.length === 0) return;
  line();
  terminal.table(
    ['hook', 'when', 'ran', 'last'],
    status.hooks.map((hook) => [
      hook.name,
      hook.moment === 'organization' ? 'each organization' : `${hook.moment} ${hook.phase}`,
      String(hook.runs),
      hook.messages.at(-1) ?? '',
    ]),
  );
}

function headline({ paint }: Terminal, status: AdoptStatus): string {
  if (status.status === 'undone') return paint('bold', 'undone');
  const phase = paint('bold', status.phase);
  if (status.direction === 'undo') return `${phase}, going back${status.running ? '' : paint('warn', ', stopped')}`;
  if (status.pausedAt !== null) return `${phase}, ${paint('warn', 'paused')} since ${minute(status.pausedAt)} UTC`;
  if (status.running) return `${phase}, ${paint('good', 'a process is working on it')}`;
  return status.phase === 'enforced' || status.phase === 'contract'
    ? `${phase}, complete`
    : `${phase}, no process is working on it`;
}

function phaseState(phase: PhaseStatus, status: AdoptStatus, isNext: boolean): string {
  if (phase.fraction === 1) return phase.steps === 0 ? 'nothing to do' : 'done';
  if (!isNext || (phase.done === 0 && !status.current.some((step) => step.phase === phase.phase))) return '';
  const parts = [`${Math.floor(phase.fraction * 100)} %`];
  if (phase.rowsPerSecond !== null) parts.push(`${count(phase.rowsPerSecond)} rows/s`);
  if (phase.secondsLeft !== null) parts.push(`about ${duration(phase.secondsLeft)} left`);
  return parts.join(', ');
}

function describeStep(step: CurrentStep, { running }: AdoptStatus, now: Date): string {
  const parts = [step.step];
  if (step.rowsTotal !== null) {
    parts.push(
      `${count(step.rows)} of about ${counted(step.rowsTotal, 'row')} (${Math.floor((step.fraction ?? 0) * 100)} %)`,
    );
    if (step.rowsPerSecond !== null) parts.push(`${count(step.rowsPerSecond)} rows/s`);
  }
  if (step.since !== null) parts.push(`since ${ago(step.since, now).replace(/ ago$/, '')}`);
  if (step.attempts > 1) parts.push(`attempt ${step.attempts}`);
  return `${parts.join(', ')}${running ? '' : ': stopped'}`;
}

function nextStep(status: AdoptStatus): string {
  if (status.status === 'undone') return 'tenantry adopt plan';
  if (status.pausedAt !== null) return 'tenantry adopt resume';
  if (status.direction === 'undo') return status.running ? 'wait for it' : 'tenantry adopt undo --yes';
  if (status.running) return 'wait for it, or: tenantry adopt pause';
  if (status.phase === 'shadow') return 'tenantry isolation shadow report, then: tenantry adopt run';
  if (status.phase === 'enforced' && status.phases.some(({ phase, fraction }) => phase === 'contract' && fraction < 1))
    return 'tenantry adopt verify; when the last old code is gone: tenantry adopt contract';
  if (status.phase === 'enforced' || status.phase === 'contract')
    return 'tenantry adopt verify, and in CI: tenantry adopt plan --check';
  return 'tenantry adopt run';
}

const count = (n: number): string => Math.round(n).toLocaleString('en-US');
const minute = (date: Date): string => date.toISOString().slice(0, 16).replace('T', ' ');

function bar(fraction: number, width = 16): string {
  const filled = Math.min(width, Math.floor(fraction * width));
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
}

function ago(date: Date, now: Date): string {
  return `${duration(Math.max(0, (now.getTime() - date.getTime()) / 1000))} ago`;
}

/** `40 s`, `12 min`, `3 h 20 min`, `2 d 4 h`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 36) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}
