import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { judgeAdvisories } from './advisories.js';
import { faultsOfLock, type Lock, type Manifest } from './lock.js';

const report = (...severities: string[]): string =>
  JSON.stringify({
    auditReportVersion: 2,
    vulnerabilities: Object.fromEntries(
      severities.map((severity, n) => [`p${n}`, { severity, range: '<2', via: [{ title: 'Bad' }, 'other'] }]),
    ),
  });

describe('the known advisories of the packages that ship', () => {
  it('must be fixed when they are severe, and are printed in any case', () => {
    expect(judgeAdvisories(report())).toEqual({ verdict: 'none', lines: [] });
    expect(judgeAdvisories(report('low', 'moderate'))).toEqual({
      verdict: 'none',
      lines: ['low: p0 <2 (Bad; by way of other)', 'moderate: p1 <2 (Bad; by way of other)'],
    });
    for (const bad of ['high', 'critical']) expect(judgeAdvisories(report('low', bad)).verdict).toBe('known');
  });

  it.each([
    ['405', { message: '405 Method Not Allowed', statusCode: 405, error: { summary: '', detail: '' } }],
    ['404', { statusCode: 404 }],
    ['ENOTFOUND', { error: { code: 'ENOTFOUND', summary: 'no such host' } }],
  ])('are reported as unchecked where the registry serves none: %s', (code, printed) => {
    expect(judgeAdvisories(JSON.stringify(printed))).toEqual({
      verdict: 'unchecked',
      lines: [`not checked: the registry serves no advisories (${code})`],
    });
  });

  it.each(['', 'npm ERR!', '{}', '{"error":{"code":"ENOLOCK"}}'])(
    'are never taken for none when the answer is broken: %j',
    (printed) => {
      expect(() => judgeAdvisories(printed)).toThrow();
    },
  );
});

describe('the lock file', () => {
  const read = (path: string): object => JSON.parse(readFileSync(path, 'utf8')) as object;
  const lock = read('package-lock.json') as Lock;
  const manifest = read('package.json') as Manifest;

  it('pins every package, takes all from the registry, and decides on each install script', () => {
    expect(Object.keys(lock.packages).length).toBeGreaterThan(400);
    expect(faultsOfLock(lock, manifest)).toEqual([]);
  });

  it.each([
    ['a package without a hash', { packages: { 'node_modules/a': {} } }, {}, /not pinned/],
    ['a package with a weak hash', { packages: { 'node_modules/a': { integrity: 'sha1-x' } } }, {}, /not pinned/],
    [
      'a package from elsewhere, inside another',
      { packages: { 'node_modules/b/node_modules/a': { integrity: 'sha512-x', resolved: 'https://x.example/a.tgz' } } },
      {},
      /of its own/,
    ],
    [
      'an install script without a decision',
      { packages: { 'node_modules/@s/a': { integrity: 'sha512-x', hasInstallScript: true } } },
      {},
      /^@s\/a: .* not in allowScripts/,
    ],
    ['a decision about no script', { packages: {} }, { allowScripts: { a: false } }, /no install script/],
  ])('is at fault with %s', (_, bad, also, fault) => {
    expect(faultsOfLock(bad, also)).toEqual([expect.stringMatching(fault)]);
  });
});
