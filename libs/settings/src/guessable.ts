/**
 * Fewest unforeseeable pieces in a secret. A random secret has nearly as many as characters, and at least 32 characters. Fewer than one in
 * ten thousand random hexadecimal secrets falls short, and one in several thousand of the shortest decimal ones.
 */
const FEWEST_SURPRISES = 20;

/** Shortest piece that is recognised as a repetition, or as characters in order. */
const SHORTEST_PIECE = 3;

/** Neighbours on a keyboard. */
const ROWS = ['01234567890', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm', 'qwertzuiop', 'azertyuiop'];
const ORDERS = ROWS.flatMap((row) => [row, [...row].reverse().join('')]);

/** Words that people choose for secrets, and words that stand for a secret in examples. */
const WORDS = `
  access admin any api app application assistant at auth authentication autumn backend be bearer bits bytes change changeit
  changeme character characters chat company config dev development default demo do docker dragon encryption environment example
  express for football generate hash hello here hmac hs256 id in is it jsonwebtoken jwt key keys least letmein local localhost login
  long longer master me monkey must my mysecret name nest nestjs new node not of our pass passphrase password passwort please postgres
  princess private prod production project public put random redis rejoinder replace root safe salt sample secret secrets secure
  security server service session sha256 shadow sign signing sixtyfour spring staging string strong summer sunshine super temp test
  testing text that the this thirtytwo to token tokens top ultra use user value very web welcome winter with word world you your
`.match(/\w+/g) as string[];

/** Signs that people write for letters. */
const LETTERS: Readonly<Record<string, string>> = {
  '@': 'a',
  '4': 'a',
  '3': 'e',
  '1': 'i',
  '!': 'i',
  '0': 'o',
  $: 's',
  '5': 's',
  '7': 't',
};

/** Texts that stand for a secret in examples and in the debugger of jwt.io. An operator may have forgotten to replace one. */
const PLACEHOLDER =
  /(change|replace)[-_ ]?(me|this|with)|placeholder|your[-_ ].*(secret|key)|(secret|key)[-_ ]?(goes[-_ ]?)?here|a-string-secret-at-least/i;

/**
 * Whether an attacker can guess a secret by trying people's usual choices: words, years, rows of the keyboard, and repeated pieces. A
 * library (zxcvbn) does not fit: every start would read its dictionaries, a megabyte, and it assumes the few tries that a sign-in form
 * allows. An attacker with one token can try any number of secrets.
 */
export function canBeGuessed(secret: string): boolean {
  return PLACEHOLDER.test(secret) || surprisesIn(secret) < FEWEST_SURPRISES;
}

/** How many pieces of a text do not follow from the text before them. */
function surprisesIn(secret: string): number {
  const text = secret.toLowerCase();
  // Digits alone hold no words, and their years are by chance.
  const isNumber = /^\d+$/.test(text);
  const letters = isNumber ? text : [...text].map((sign) => LETTERS[sign] ?? sign).join('');
  let count = 0;
  for (let at = 0; at < text.length; count += 1) {
    const year = isNumber ? 0 : yearAt(text, at);
    at += Math.max(
      1,
      year,
      wordAt(text, at),
      wordAt(letters, at),
      repeatedAt(text, at),
      orderedAt(text, at),
      rowAt(text, at),
    );
  }
  return count;
}

function wordAt(letters: string, at: number): number {
  return Math.max(0, ...WORDS.filter((word) => letters.startsWith(word, at)).map((word) => word.length));
}

function yearAt(text: string, at: number): number {
  return /^(19|20)\d\d/.test(text.slice(at, at + 4)) ? 4 : 0;
}

/** The length of the piece at `at` that the text before it also contains. */
function repeatedAt(text: string, at: number): number {
  let length = 0;
  while (at + length < text.length && text.indexOf(text.slice(at, at + length + 1)) < at) length += 1;
  return length >= SHORTEST_PIECE ? length : 0;
}

/** The length of the characters at `at` with equal distances: `aaa`, `abc`, `531`. */
function orderedAt(text: string, at: number): number {
  const step = (n: number): number => text.charCodeAt(n) - text.charCodeAt(n - 1);
  if (!(Math.abs(step(at + 1)) <= 2)) return 0;
  let end = at + 2;
  while (end < text.length && step(end) === step(at + 1)) end += 1;
  return end - at >= SHORTEST_PIECE ? end - at : 0;
}

/** The length of the characters at `at` whose keys lie side by side. */
function rowAt(text: string, at: number): number {
  let length = 0;
  while (at + length < text.length && ORDERS.some((row) => row.includes(text.slice(at, at + length + 1)))) length += 1;
  return length >= SHORTEST_PIECE ? length : 0;
}
