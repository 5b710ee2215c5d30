import { credit, plan, price, type Scenario, terms } from './snapshots.ts';

export const january = ['2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z', '2026-03-01T00:00:00Z', '2026-04-01T00:00:00Z'];
export const from = january[0]!;
export const tiered = terms({
  included: '1000',
  tiers: [
    { upTo: '1000', unit: '0.05' },
    { upTo: '5000', unit: '0.03' },
    { upTo: null, unit: '0.01' },
  ],
});
export const volume = terms({
  model: 'volume',
  tiers: [
    { upTo: '15', unit: '10' },
    { upTo: null, unit: '5' },
  ],
});
const packages = terms({ model: 'package', tiers: [{ upTo: null, unit: '2' }], packageSize: '1000', included: '100' });
const flat = terms({
  tiers: [
    { upTo: '10', unit: '1', flat: '5' },
    { upTo: null, unit: '0.5', flat: '3' },
  ],
});
export const used = (metric: typeof tiered, quantity: string | number, more: Partial<Scenario> = {}): Scenario => ({
  edges: january,
  phases: [[from, plan('P', '0', { calls: metric })]],
  uses: [['2026-01-20T12:00:00Z', quantity]],
  ...more,
});

/** Every amount below was worked out by hand, in the comment above it; minor units. */
export const cases: readonly [string, Scenario, readonly (readonly [string, number])[], total: number][] = [
  // 29.00 for the whole month
  ['base fee alone', { edges: january, phases: [[from, plan('S', '29')]] }, [['base', 2900]], 2900],
  // nothing used: 49.00 and a line of nothing
  [
    'no usage',
    { edges: january, phases: [[from, plan('P', '49', { calls: tiered })]] },
    [
      ['base', 4900],
      ['usage:calls', 0],
    ],
    4900,
  ],
  // 1000 used, 1000 included
  [
    'all that is included, no more',
    used(tiered, 1000),
    [
      ['base', 0],
      ['usage:calls', 0],
    ],
    0,
  ],
  // 8000 - 1000 = 7000 over: 1000 × 0.05 = 50, 4000 × 0.03 = 120, 2000 × 0.01 = 20; 190.00
  [
    'graduated: three tiers',
    used(tiered, 8000),
    [
      ['base', 0],
      ['usage:calls', 19000],
    ],
    19000,
  ],
  // 2000 - 1000 = 1000 over, the last unit of the first tier: 1000 × 0.05 = 50.00
  [
    'graduated: last unit of a tier',
    used(tiered, 2000),
    [
      ['base', 0],
      ['usage:calls', 5000],
    ],
    5000,
  ],
  // one more: 50.00 + 1 × 0.03
  [
    'graduated: first unit of the next tier',
    used(tiered, 2001),
    [
      ['base', 0],
      ['usage:calls', 5003],
    ],
    5003,
  ],
  // 15 × 10 = 150.00
  [
    'volume: last unit of a tier',
    used(volume, 15),
    [
      ['base', 0],
      ['usage:calls', 15000],
    ],
    15000,
  ],
  // 16 × 5 = 80.00: one more costs less, as volume prices do
  [
    'volume: first unit of the next tier',
    used(volume, 16),
    [
      ['base', 0],
      ['usage:calls', 8000],
    ],
    8000,
  ],
  // 1101 - 100 = 1001 over: 2 packages × 2 = 4.00
  [
    'packages begun are paid',
    used(packages, 1101),
    [
      ['base', 0],
      ['usage:calls', 400],
    ],
    400,
  ],
  // 1100 - 100 = 1000 over: 1 package
  [
    'a package used up is one package',
    used(packages, 1100),
    [
      ['base', 0],
      ['usage:calls', 200],
    ],
    200,
  ],
  // flat fees count when a unit falls into the tier: none does
  [
    'flat fees: no usage, no fee',
    used(flat, 0),
    [
      ['base', 0],
      ['usage:calls', 0],
    ],
    0,
  ],
  // 10 × 1 + 5 = 15, 2 × 0.5 + 3 = 4; 19.00
  [
    'flat fees: once for each tier reached',
    used(flat, 12),
    [
      ['base', 0],
      ['usage:calls', 1900],
    ],
    1900,
  ],
  // 12345 × 0.0025 = 30.8625
  [
    'prices below a cent',
    used(terms({ tiers: [{ upTo: null, unit: '0.0025' }] }), 12345),
    [
      ['base', 0],
      ['usage:calls', 3086],
    ],
    3086,
  ],
  // 2 × 0.0025 = 0.005, half a cent: away from zero
  [
    'half a cent',
    used(terms({ tiers: [{ upTo: null, unit: '0.0025' }] }), 2),
    [
      ['base', 0],
      ['usage:calls', 1],
    ],
    1,
  ],
  // 1 × 0.0049 = 0.49 cents
  [
    'less than half a cent',
    used(terms({ tiers: [{ upTo: null, unit: '0.0049' }] }), 1),
    [
      ['base', 0],
      ['usage:calls', 0],
    ],
    0,
  ],
  // 0.1 + 0.2 = 0.3 units exactly; × 5 = 1.50 (a float says 1.5000000000000002)
  [
    'quantities are exact decimals',
    used(terms({ tiers: [{ upTo: null, unit: '5' }] }), 0, {
      uses: [
        ['2026-01-02T00:00:00Z', '0.1'],
        ['2026-01-03T00:00:00Z', '0.2'],
      ],
    }),
    [
      ['base', 0],
      ['usage:calls', 150],
    ],
    150,
  ],
  // 2999 cents: 29.99 × 17 days / 31 days = 16.446129… (Lago's float says 1644.61290…)
  [
    'a calendar month that begins on the 15th',
    { edges: january, phases: [[from, plan('S', '29.99')]], activatesAt: '2026-01-15T00:00:00Z' },
    [['base', 1645]],
    1645,
  ],
  // leap February 2024, 29 days, change on the 15th: 30 × 14/29 = 14.48275…, 90 × 15/29 = 46.55172…
  [
    'plan change in a leap February',
    {
      edges: ['2024-02-01T00:00:00Z', '2024-03-01T00:00:00Z'],
      phases: [
        ['2024-02-01T00:00:00Z', plan('A', '30')],
        ['2024-02-15T00:00:00Z', plan('B', '90')],
      ],
    },
    [
      ['base', 1448],
      ['base', 4655],
    ],
    6103,
  ],
  // the year after, 28 days: 30 × 14/28 = 15, 90 × 14/28 = 45
  [
    'plan change in a February of 28 days',
    {
      edges: ['2025-02-01T00:00:00Z', '2025-03-01T00:00:00Z'],
      phases: [
        ['2025-02-01T00:00:00Z', plan('A', '30')],
        ['2025-02-15T00:00:00Z', plan('B', '90')],
      ],
    },
    [
      ['base', 1500],
      ['base', 4500],
    ],
    6000,
  ],
  // New York, March 2026: 743 hours; change on the 8th at noon, 7 days and 11 hours in (one hour was jumped over):
  // 30 × 179/743 = 7.22745…, 90 × 564/743 = 68.31763…
  [
    'plan change after the clocks went forward',
    {
      timeZone: 'America/New_York',
      edges: ['2026-03-01T05:00:00Z', '2026-04-01T04:00:00Z'],
      phases: [
        ['2026-03-01T05:00:00Z', plan('A', '30')],
        ['2026-03-08T16:00:00Z', plan('B', '90')],
      ],
    },
    [
      ['base', 723],
      ['base', 6832],
    ],
    7555,
  ],
  // New York, November 2025: 721 hours; change on the 2nd at noon, 1 day and 13 hours in (one hour came twice):
  // 30 × 37/721 = 1.53952…, 90 × 684/721 = 85.38141…
  [
    'plan change after the clocks went back',
    {
      timeZone: 'America/New_York',
      edges: ['2025-11-01T04:00:00Z', '2025-12-01T05:00:00Z'],
      phases: [
        ['2025-11-01T04:00:00Z', plan('A', '30')],
        ['2025-11-02T17:00:00Z', plan('B', '90')],
      ],
    },
    [
      ['base', 154],
      ['base', 8538],
    ],
    8692,
  ],
  // 28 days, change in the middle. A includes 3000/2 = 1500: 2000 - 1500 = 500 × 0.02 = 10.00. B includes 10000/2 = 5000: 4000 is inside
  [
    'what is included is divided by time',
    {
      edges: ['2026-02-01T00:00:00Z', '2026-03-01T00:00:00Z'],
      phases: [
        [
          '2026-02-01T00:00:00Z',
          plan('A', '0', { calls: terms({ included: '3000', tiers: [{ upTo: null, unit: '0.02' }] }) }),
        ],
        [
          '2026-02-15T00:00:00Z',
          plan('B', '0', { calls: terms({ included: '10000', tiers: [{ upTo: null, unit: '0.01' }] }) }),
        ],
      ],
      uses: [
        ['2026-02-10T00:00:00Z', 2000],
        ['2026-02-20T00:00:00Z', 4000],
      ],
    },
    [
      ['base', 0],
      ['base', 0],
      ['usage:calls', 1000],
      ['usage:calls', 0],
    ],
    1000,
  ],
  // the metric's terms stay the same: 1000 + 500 - 1000 included = 500 × 0.05 = 25.00, not 250 + 0
  [
    'terms that stay the same are not divided',
    {
      edges: ['2026-02-01T00:00:00Z', '2026-03-01T00:00:00Z'],
      phases: [
        ['2026-02-01T00:00:00Z', plan('A', '28', { calls: tiered })],
        ['2026-02-15T00:00:00Z', plan('B', '56', { calls: tiered })],
      ],
      uses: [
        ['2026-02-10T00:00:00Z', 1000],
        ['2026-02-20T00:00:00Z', 500],
      ],
    },
    [
      ['base', 1400],
      ['base', 2800],
      ['usage:calls', 2500],
    ],
    6700,
  ],
  // two changes at one instant: the last one holds from then on; 14/28 × 28 = 14, 14/28 × 56 = 28
  [
    'two changes at one instant',
    {
      edges: ['2026-02-01T00:00:00Z', '2026-03-01T00:00:00Z'],
      phases: [
        ['2026-02-01T00:00:00Z', plan('A', '28')],
        ['2026-02-15T00:00:00Z', plan('X', '9999')],
        ['2026-02-15T00:00:00Z', plan('B', '56')],
      ],
    },
    [
      ['base', 1400],
      ['base', 2800],
    ],
    4200,
  ],
  // custom price from the 16th of a month of 30 days: 1000 × 0.05 = 50.00, then 1000 × 0.04 = 40.00
  [
    'a custom price in the middle of the month',
    {
      edges: ['2026-06-01T00:00:00Z', '2026-07-01T00:00:00Z'],
      phases: [['2026-06-01T00:00:00Z', plan('P', '0', { calls: terms() })]],
      customPrices: [
        price({
          metric: 'calls',
          from: '2026-06-16T00:00:00Z',
          terms: terms({ tiers: [{ upTo: null, unit: '0.04' }] }),
        }),
      ],
      uses: [
        ['2026-06-15T23:59:59.999Z', 1000],
        ['2026-06-16T00:00:00Z', 1000],
      ],
    },
    [
      ['base', 0],
      ['usage:calls', 5000],
      ['usage:calls', 4000],
    ],
    9000,
  ],
  // enterprise: 750.00 instead of 999; the younger of two prices holds; one that ended before does not
  [
    'custom base fees',
    {
      edges: january,
      phases: [[from, plan('E', '999')]],
      customPrices: [
        price({ basePrice: '800', from: '2025-01-01T00:00:00Z' }),
        price({ basePrice: '750', from: '2025-06-01T00:00:00Z' }),
        price({ basePrice: '1', from: '2025-06-01T00:00:00Z', to: '2026-01-01T00:00:00Z' }),
      ],
    },
    [['base', 75000]],
    75000,
  ],
  // 10000 × 0.10 = 1000.00, at most 250.00
  [
    'cap of a metric',
    used(terms({ tiers: [{ upTo: null, unit: '0.10' }], cap: '250' }), 10000),
    [
      ['base', 0],
      ['usage:calls', 25000],
    ],
    25000,
  ],
  // half of a month of 28 days: cap 250/2 = 125.00; base 100/2 = 50.00
  [
    'a cap is divided by time',
    {
      edges: ['2026-02-01T00:00:00Z', '2026-03-01T00:00:00Z'],
      phases: [['2026-02-01T00:00:00Z', plan('P', '100', { calls: terms({ cap: '250' }) })]],
      uses: [['2026-02-05T00:00:00Z', 10000]],
      endsAt: '2026-02-15T00:00:00Z',
    },
    [
      ['base', 5000],
      ['usage:calls', 12500],
    ],
    17500,
  ],
  // 1200 × 0.05 = 60, 1400 × 0.05 = 70; 130.00, at most 100.00; the base fee is not capped; credits come after
  [
    'spending cap over all metrics, before credits',
    {
      edges: january,
      phases: [[from, plan('P', '10', { calls: terms(), mails: terms() })]],
      spendCap: '100',
      uses: [
        ['2026-01-05T00:00:00Z', 1200],
        ['2026-01-05T00:00:00Z', 1400, 'mails'],
      ],
      credits: [credit('promo', 2000)],
    },
    [
      ['base', 1000],
      ['usage:calls', 6000],
      ['usage:mails', 7000],
      ['cap', -3000],
      ['credit', -2000],
    ],
    9000,
  ],
  // 100.00: priority 1 first (20.00), of priority 5 what expires first (30.00), of the same expiry the older (25.00),
  // then 25.00 of the 40.00 that never expire; what expired at the end of January pays nothing
  [
    'credits by priority, expiry, age',
    {
      edges: january,
      phases: [[from, plan('P', '100')]],
      credits: [
        credit('never', 4000, { priority: 5, createdAt: 1 }),
        credit('gone', 9999, { priority: 0, expiresAt: new Date(january[1]!).getTime() }),
        credit('younger', 2500 - 1000, { priority: 5, expiresAt: new Date('2026-07-01').getTime(), createdAt: 3 }),
        credit('older', 1000, { priority: 5, expiresAt: new Date('2026-07-01').getTime(), createdAt: 2 }),
        credit('soon', 3000, { priority: 5, expiresAt: new Date('2026-03-01').getTime(), createdAt: 9 }),
        credit('first', 2000, { priority: 1 }),
      ],
    },
    [
      ['base', 10000],
      ['credit', -2000],
      ['credit', -3000],
      ['credit', -1000],
      ['credit', -1500],
      ['credit', -2500],
    ],
    0,
  ],
  // trial until the 15th: the anchor is its end, what was used before is not billed; 300 × 0.05 = 15.00
  [
    'usage of the trial is not billed',
    {
      edges: ['2026-01-15T00:00:00Z', '2026-02-15T00:00:00Z'],
      phases: [[from, plan('P', '29', { calls: terms() })]],
      activatesAt: '2026-01-15T00:00:00Z',
      uses: [
        ['2026-01-14T23:59:59.999Z', 5000],
        ['2026-01-15T00:00:00Z', 300],
      ],
    },
    [
      ['base', 2900],
      ['usage:calls', 1500],
    ],
    4400,
  ],
  // yen have no minor unit: 1200 × 10/31 = 387.09…; 333 × 0.5 = 166.5, away from zero: 167
  [
    'JPY: no digits',
    {
      currency: 'JPY',
      edges: january,
      phases: [[from, plan('P', '1200', { calls: terms({ tiers: [{ upTo: null, unit: '0.5' }] }) })]],
      uses: [['2026-01-05T00:00:00Z', 333]],
      endsAt: '2026-01-11T00:00:00Z',
    },
    [
      ['base', 387],
      ['usage:calls', 167],
    ],
    554,
  ],
  // dinars have three digits: 12.345 = 12345 fils; 3 × 0.0005 = 0.0015 = 1.5 fils: 2
  [
    'KWD: three digits',
    {
      currency: 'KWD',
      edges: january,
      phases: [[from, plan('P', '12.345', { calls: terms({ tiers: [{ upTo: null, unit: '0.0005' }] }) })]],
      uses: [['2026-01-05T00:00:00Z', 3]],
    },
    [
      ['base', 12345],
      ['usage:calls', 2],
    ],
    12347,
  ],
  // taken off more than was used: nothing to pay, nothing to give back
  [
    'usage below zero costs nothing',
    used(terms(), -5),
    [
      ['base', 0],
      ['usage:calls', 0],
    ],
    0,
  ],
  // a metric without a price, or with unlimited use, has no line
  [
    'what has no price has no line',
    {
      edges: january,
      phases: [[from, plan('P', '5', { calls: terms({ model: null, tiers: null, hard: true }) })]],
      uses: [['2026-01-05T00:00:00Z', 9]],
    },
    [['base', 500]],
    500,
  ],
];
