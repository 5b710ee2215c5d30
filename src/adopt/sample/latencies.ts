/** What the statements of a stretch of time took, in milliseconds. */
export interface LatencyStats {
  readonly statements: number;
  readonly p50: number;
  readonly p99: number;
  readonly slowest: number;
  readonly slowestOperation: string;
}

export interface Stretch {
  add(milliseconds: number, operation: string): void;
  read(): LatencyStats;
}

export function createStretch(): Stretch {
  const all: number[] = [];
  let slowest = 0;
  let slowestOperation = '';
  return {
    add(milliseconds, operation) {
      all.push(milliseconds);
      if (milliseconds <= slowest) return;
      slowest = milliseconds;
      slowestOperation = operation;
    },
    read() {
      const sorted = Float64Array.from(all).sort();
      const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
      return { statements: sorted.length, p50: at(0.5), p99: at(0.99), slowest, slowestOperation };
    },
  };
}
