import type { Reporter, TestModule } from 'vitest/node';

/** Ends a run in one line that any tool can read: `12 passed, 0 failed, 1 skipped`. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) counts[test.result().state] += 1;
      // a file that could not be loaded, or whose set-up failed, is a failure without a test
      if (module.state() === 'failed' && [...module.children.allTests('failed')].length === 0) counts.failed += 1;
    }
    const { passed, failed, skipped, pending } = counts;
    // after the summary of the other reporters
    process.once('exit', () => console.log(`${passed} passed, ${failed} failed, ${skipped + pending} skipped`));
  }
}
