/**
 * Fewest things in a secret that nobody can foresee. One made at random has nearly as many as characters, and those are 32 at least:
 * of random hexadecimal digits none in ten thousand has fewer, of the shortest decimal ones one in several thousand.
 */
const FEWEST_SURPRISES = 20;

/** Shortest piece that is recognised as a repetition, or as characters in order. */
const SHORTEST_PIECE = 3;

/** Neighbours on a keyboard. */
const ROWS = ['01234567890', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm', 'qwertzuiop', 'azertyuiop'];
const ORDERS = ROWS.flatMap((row) => [row, [...row].reverse().join('')]);

/** Words that people make secrets of, and those that stand in examples for one. */
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

/** Texts that stand in examples for a secret, and in the debugger of jwt.io, also where nobody has replaced it. */
const PLACEHOLDER =
  /(change|replace)[-_ ]?(me|this|with)|placeholder|your[-_ ].*(secret|key)|(secret|key)[-_ ]?(goes[-_ ]?)?here|a-string-secret-at-least/i;

/**
 * Whether a secret can be guessed by trying what people choose: words, years, rows of the keyboard, and pieces that come again. Not a
 * library's estimate (zxcvbn): its dictionaries are a megabyte that every start would read, and it counts what a sign-in form lets
 * through, while whoever has one token can try as many secrets as they like.
 */
export function canBeGuessed(secret: string): boolean {
  return PLACEHOLDER.test(secret) || surprisesIn(secret) < FEWEST_SURPRISES;
}

/** How many pieces a text has that do not follow from what stands before them. */
function surprisesIn(secret: string): number {
  const text = secret.toLowerCase();
  // A number has no words and no years in it.
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

/** The length of the piece here that also stands before. */
function repeatedAt(text: string, at: number): number {
  let length = 0;
  while (at + length < text.length && text.indexOf(text.slice(at, at + length + 1)) < at) length += 1;
  return length >= SHORTEST_PIECE ? length : 0;
}

/** The length of characters that are each as far from the one before: `aaa`, `abc`, `531`. */
function orderedAt(text: string, at: number): number {
  const step = (n: number): number => text.charCodeAt(n) - text.charCodeAt(n - 1);
  if (!(Math.abs(step(at + 1)) <= 2)) return 0;
  let end = at + 2;
  while (end < text.length && step(end) === step(at + 1)) end += 1;
  return end - at >= SHORTEST_PIECE ? end - at : 0;
}

/** The length of keys that lie side by side. */
function rowAt(text: string, at: number): number {
  let length = 0;
  while (at + length < text.length && ORDERS.some((row) => row.includes(text.slice(at, at + length + 1)))) length += 1;
  return length >= SHORTEST_PIECE ? length : 0;
}
