const QUOTED = 200;
const SPANISH = /[¿¡ñáéíóú]|\b(cómo|como|qué|que|hola|factura|por favor|gracias|el|la|los)\b/iu;
const REINSTALL = /reinstal/iu;

/** A reply that is of some use and plainly no real model's. */
export function standInReply(question: string): string {
  const quoted = question.length > QUOTED ? `${[...question].slice(0, QUOTED).join('')}…` : question;
  if (SPANISH.test(question)) {
    const help = REINSTALL.test(question)
      ? 'Para reinstalar el software: 1) guarda tus datos, 2) desinstálalo desde los ajustes del sistema, ' +
        '3) reinicia el equipo, 4) descarga el instalador de la página oficial y ejecútalo, 5) inicia sesión de nuevo.'
      : 'Un modelo de verdad respondería aquí a tu pregunta.';
    return `[Modelo de prueba] Has preguntado: «${quoted}». ${help} (Ningún modelo real ha respondido: define ANTHROPIC_API_KEY para usar uno.)`;
  }
  const help = REINSTALL.test(question)
    ? 'To reinstall the software: 1) save your data, 2) uninstall it in the system settings, 3) restart the computer, ' +
      '4) download the installer from the official site and run it, 5) sign in again.'
    : 'A real model would answer your question here.';
  return `[Stand-in model] You asked: "${quoted}". ${help} (No real model answered: set ANTHROPIC_API_KEY to use one.)`;
}

/** The reply as the words it is streamed in; joined they are the reply. */
export function inPieces(text: string): string[] {
  return text.match(/\S+\s*|\s+/gu) ?? [];
}
