'use strict';
/*
 * Runs before npm scripts: says in one line what a newcomer still has to do. Without it, a stack trace would.
 *
 *   node tools/ready.cjs            checks Node's version, and that the packages are those of the lock file
 *   node tools/ready.cjs build      also checks that it can build; says so when nothing is built yet
 *   node tools/ready.cjs built      checks Node's version, and that the programs are built
 *
 * An old Node must be able to read this file: it is written in the language of 2018, which lint checks, and is not compiled.
 */
const fs = require('fs');
const path = require('path');

const ROOT = path.join(__dirname, '..');
const BUILD_MB = 100;
const at = (name) => path.join(ROOT, name);
const read = (name) => JSON.parse(fs.readFileSync(at(name), 'utf8'));

/** Prints one line and ends the process with 1. */
function stop(line) {
  console.error(line);
  process.exit(1);
}

/** `version` is in a range such as `^20.19.0 || >=24.11.0`. */
function isIn(range, version) {
  const numbers = (text) => text.split(/\D+/).filter(Boolean).slice(0, 3).map(Number);
  const is = numbers(version);
  return range.split('||').some((part) => {
    const least = numbers(part);
    if (part.indexOf('^') >= 0 && is[0] !== least[0]) return false;
    const first = [0, 1, 2].filter((n) => is[n] !== least[n])[0];
    return first === undefined || is[first] > least[first];
  });
}

/** The first package whose installed version is not that of the lock file. Packages for other systems may be missing. */
function notInstalled() {
  if (!fs.existsSync(at('node_modules/.package-lock.json'))) return 'all of them';
  const installed = read('node_modules/.package-lock.json').packages;
  const wanted = read('package-lock.json').packages;
  return Object.keys(wanted).filter((name) => {
    const one = wanted[name];
    if (!/(^|\/)node_modules\//.test(name) || one.link || one.optional || one.devOptional || one.peer) return false;
    return !installed[name] || installed[name].version !== one.version;
  })[0];
}

/** Files can be made in a directory, or the directory itself can be made. */
function mayWrite(name) {
  try {
    fs.accessSync(fs.existsSync(at(name)) ? at(name) : ROOT, fs.constants.W_OK);
    return true;
  } catch (denied) {
    return !denied;
  }
}

/** Free megabytes of the disk; an older Node cannot say. */
function room() {
  if (!fs.statfsSync) return Infinity;
  const disk = fs.statfsSync(ROOT);
  return Math.floor((disk.bavail * disk.bsize) / 1e6);
}

const task = process.argv[2];
const range = read('package.json').engines.node;
if (!isIn(range, process.version)) {
  const lines = range.split('||').map((part) => part.replace(/[\s^>=]/g, '').replace(/\.0$/, ''));
  const versions = lines.reverse().join(', ');
  stop(
    `Rejoinder needs Node ${versions} or newer, and this is ${process.version}: https://nodejs.org has the current one.`,
  );
}
if (task === 'built') {
  if (!fs.existsSync(at('dist/bin/api.js'))) stop('Nothing is built yet. Run: npm ci && npm run build');
} else {
  const missing = notInstalled();
  // In production npm leaves out the packages that the build needs.
  const install = process.env.NODE_ENV === 'production' ? 'npm ci --include=dev' : 'npm ci';
  if (missing === 'all of them') stop(`The packages are not installed. Run: ${install}`);
  if (missing)
    stop(
      `The packages are not those of package-lock.json (${missing.replace(/^node_modules\//, '')}). Run: ${install}`,
    );
}
if (task === 'build') {
  if (!mayWrite('dist'))
    stop(`You may not write to ${at('dist')}, where the programs are built. Use a clone of your own.`);
  if (!fs.existsSync(at('dist/bin'))) {
    if (room() < BUILD_MB)
      stop(`The disk of ${ROOT} is full: building takes ${BUILD_MB} MB, and ${room()} MB are left.`);
    console.error('Building, once …');
  }
}
