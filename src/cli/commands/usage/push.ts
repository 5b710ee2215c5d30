import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import type { Meter } from '../../../metering/stripe/index.ts';
import type { Command, CommandInput } from '../../command.ts';
import { report, withStripe } from '../billing/stripe.ts';

export const pushUsage: Command = {
  name: 'usage push',
  summary:
    'Tell Stripe’s meters what was used in the last 34 days and they do not have: of one organization, or of all.',
  description:
    'Only for what Stripe itself shall price, and only while a subscription is billed. The key is read from STRIPE_SECRET_KEY. Interrupted at any point, the next run goes on there, and nothing is counted twice.',
  examples: [
    'STRIPE_SECRET_KEY=… tenantry usage push --meter api_calls=api_requests',
    'tenantry usage push --organization acme --meter api_calls=api_requests:mtr_61Q --meter emails=emails --dry-run',
  ],
  options: {
    organization: { type: 'string', value: 'ID|SLUG', help: 'Only this one. Defaults to all.' },
    meter: {
      type: 'string',
      value: 'METRIC=EVENT[:METER]',
      multiple: true,
      help: 'Report METRIC as events named EVENT; with the id of the meter, what an interrupted run sent is looked up. Repeat it.',
    },
    'dry-run': { type: 'boolean', help: 'Show what would be sent, and send nothing.' },
  },
  async run(input) {
    const meters = metersOf(input);
    if (input.flag('dry-run')) {
      const days = await withStripe(input, { meters }, (push, tenantId) => push.unpushedUsage(tenantId));
      input.terminal.table(
        ['organization', 'metric', 'day', 'sent', 'missing'],
        days.map((day) => [day.tenantId, day.metric, day.dayStart.toISOString(), day.sent, day.missing]),
      );
      input.terminal.line(`${counted(days.length, 'day')} to push`);
      input.terminal.result({ days });
      return 0;
    }
    const { pushed, failed } = await withStripe(input, { meters }, (push, tenantId) => push.usage(tenantId));
    input.terminal.line(`${pushed.length} pushed, ${failed.length} failed`);
    return report(input, { pushed, failed });
  },
};

function metersOf(input: CommandInput): Record<string, Meter> {
  const meters: Record<string, Meter> = {};
  for (const text of input.options('meter')) {
    const [, metric, eventName, meterId] = /^([a-z][a-z0-9_.-]{0,62})=([^:\s]+)(?::(\S+))?$/.exec(text) ?? [];
    if (metric === undefined || eventName === undefined) {
      throw new TenantryError('TNT_USAGE', '--meter takes METRIC=EVENT or METRIC=EVENT:METER.');
    }
    meters[metric] = { eventName, ...(meterId === undefined ? {} : { meterId }) };
  }
  if (Object.keys(meters).length === 0) throw new TenantryError('TNT_USAGE', '--meter is needed.');
  return meters;
}
