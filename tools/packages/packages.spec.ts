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

describe('what is known of the packages that ship', () => {
  it('is in the way when it is bad, and told in any case', () => {
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
  ])('is not checked where nobody tells it, and that is said: %s', (code, printed) => {
    expect(judgeAdvisories(JSON.stringify(printed))).toEqual({
      verdict: 'unchecked',
      lines: [`not checked: the registry serves no advisories (${code})`],
    });
  });

  it.each(['', 'npm ERR!', '{}', '{"error":{"code":"ENOLOCK"}}'])('is never taken for nothing: %j', (printed) => {
    expect(() => judgeAdvisories(printed)).toThrow();
  });
});

describe('the lock file', () => {
  const read = (path: string): object => JSON.parse(readFileSync(path, 'utf8')) as object;
  const lock = read('package-lock.json') as Lock;
  const manifest = read('package.json') as Manifest;

  it('pins every package, from nowhere but the registry, and each install script is decided upon', () => {
    expect(Object.keys(lock.packages).length).toBeGreaterThan(400);
    expect(faultsOfLock(lock, manifest)).toEqual([]);
  });

  it.each([
    ['a package without its hash', { packages: { 'node_modules/a': {} } }, {}, /not pinned/],
    ['one with a weak one', { packages: { 'node_modules/a': { integrity: 'sha1-x' } } }, {}, /not pinned/],
    [
      'one from elsewhere, inside another',
      { packages: { 'node_modules/b/node_modules/a': { integrity: 'sha512-x', resolved: 'https://x.example/a.tgz' } } },
      {},
      /of its own/,
    ],
    [
      'a script nobody has decided upon',
      { packages: { 'node_modules/@s/a': { integrity: 'sha512-x', hasInstallScript: true } } },
      {},
      /^@s\/a: .* not in allowScripts/,
    ],
    ['a decision about nothing', { packages: {} }, { allowScripts: { a: false } }, /no install script/],
  ])('is at fault with %s', (_, bad, also, fault) => {
    expect(faultsOfLock(bad, also)).toEqual([expect.stringMatching(fault)]);
  });
});
