import { spawn, spawnSync } from 'node:child_process';
import { type Cost, measureCost, type ShopCopy } from './adopt.shops.ts';

// Django is the best known of the tools with a batched backfill that a registry has: RunPython in a migration that is not
// atomic, as its documentation writes it ("How to create database migrations", Non-atomic migrations): batches of 1,000, row.save().

/** Seconds after which it stops: the rate of a row does not hang on how many there are. */
const limit = 30;

const script = `
import sys, time
from urllib.parse import urlsplit
import django
from django.conf import settings
from django.db import connection, migrations, models, transaction

url = urlsplit(sys.argv[1])
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "USER": url.username,
  "PASSWORD": url.password, "HOST": url.hostname, "PORT": url.port}}, INSTALLED_APPS=[])
django.setup()

class Order(models.Model):
    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField(null=True)
    class Meta:
        app_label = "shop"
        db_table = "orders"
        managed = False

class Payment(models.Model):
    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    amount_cents = models.IntegerField()
    method = models.TextField()
    paid_at = models.DateTimeField()
    tenant_id = models.UUIDField(null=True)
    class Meta:
        app_label = "shop"
        db_table = "payments"
        managed = False

rows = 0

def fill(apps, schema_editor):
    global rows
    until = time.monotonic() + ${limit}
    while time.monotonic() < until and Payment.objects.filter(tenant_id__isnull=True).exists():
        with transaction.atomic():
            for row in Payment.objects.filter(tenant_id__isnull=True).select_related("order")[:1000]:
                row.tenant_id = row.order.tenant_id
                row.save()
                rows += 1

class Migration(migrations.Migration):
    atomic = False
    operations = [migrations.RunPython(fill)]

Migration.operations[0].code(None, connection.schema_editor(atomic=False))
print(rows)
`;

export interface DjangoCost extends Cost {
  readonly version: string;
}

/** @returns undefined, with a line that says why, where it is not installed */
export async function djangoBackfill(copy: ShopCopy, url: string): Promise<DjangoCost | undefined> {
  const found = findDjango();
  if (found === undefined) {
    console.log('\nDjango is not measured: apt-get install python3-django python3-psycopg2, or the same by pip.');
    return undefined;
  }
  await copy.admin.query(
    'update orders t set tenant_id = p.tenant_id from customers c, shops p where c.id = t.customer_id and p.id = c.shop_id',
  );
  const cost = await measureCost(copy, async () => Number(await python(found.program, script, url)));
  return { ...cost, version: found.version };
}

/** The first Python that has Django and its driver. */
function findDjango(): { program: string; version: string } | undefined {
  for (const program of ['python3', '/usr/bin/python3']) {
    const found = spawnSync(program, ['-c', 'import django, psycopg2; print(django.__version__)'], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    if (found.status === 0) return { program, version: found.stdout.trim() };
  }
  return undefined;
}

function python(program: string, code: string, ...values: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['-c', code, ...values], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [output, errors] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString();
    });
    child.on('error', reject);
    child.on('exit', (status) =>
      status === 0 ? resolve(output) : reject(new Error(`Django ended with ${status}: ${errors}`)),
    );
  });
}
