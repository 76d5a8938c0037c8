/** The languages the stand-in answers in. */
export type Language = 'en' | 'es' | 'de' | 'fr' | 'pt' | 'it' | 'zh' | 'ja';

/** Letters that one language has and the others here have not. */
const LETTERS: readonly (readonly [Language, RegExp])[] = [
  ['ja', /[\p{Script=Hiragana}\p{Script=Katakana}]/u],
  ['zh', /\p{Script=Han}/u],
  ['es', /[¿¡ñ]/iu],
  ['de', /[äöüß]/iu],
  ['pt', /[ãõ]/iu],
  ['fr', /[œûîë]/iu],
];

/** Words of questions. Words of several languages say nothing, and are left out. */
const WORDS: readonly (readonly [Language, RegExp])[] = [
  ['en', /\b(the|how|what|why|is|are|do|does|can|please|with|my|your|and|tell|it)\b/giu],
  ['es', /\b(cómo|qué|que|hola|factura|por favor|gracias|el|los|una|puedo|mi|cuál|dónde|tabla|está|las|como)\b/giu],
  ['de', /\b(wie|was|warum|ist|der|das|und|ich|kann|bitte|nicht|mein|meine|tabelle|hallo|danke|für|ein|eine)\b/giu],
  ['fr', /\b(comment|quoi|pourquoi|est|les|je|bonjour|merci|mon|ma|une|des|plaît|puis|tableau|où|quel|vous)\b/giu],
  ['pt', /\b(como|você|não|obrigado|olá|uma|meu|minha|posso|qual|tabela|são|os|faço|isso|fatura|em)\b/giu],
  ['it', /\b(come|cosa|perché|ciao|grazie|il|gli|mio|mia|posso|quale|tabella|sono|della|che|fattura|è)\b/giu],
];

/** Accents of Spanish that other languages have, too. They decide if nothing else does. */
const ACCENTS = /[áéíóú]/iu;

/** The language a question is asked in, by simple signs; English when there are none. */
export function languageOf(question: string): Language {
  const [letters] = LETTERS.filter(([, pattern]) => pattern.test(question));
  if (letters !== undefined) return letters[0];
  let best: Language | undefined;
  let most = 0;
  for (const [language, pattern] of WORDS) {
    const found = question.match(unicodeWords(pattern))?.length ?? 0;
    if (found > most) [best, most] = [language, found];
  }
  return best ?? (ACCENTS.test(question) ? 'es' : 'en');
}

/** The same pattern with accented letters as letters: `\b` takes them for the end of a word. */
function unicodeWords(pattern: RegExp): RegExp {
  const words = pattern.source.slice('\\b'.length, -'\\b'.length);
  return new RegExp(`(?<![\\p{L}\\p{N}])${words}(?![\\p{L}\\p{N}])`, pattern.flags);
}
