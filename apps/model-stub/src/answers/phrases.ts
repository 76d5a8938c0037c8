import type { Language } from './language.js';

/** The words of an answer in one language. */
export interface Phrases {
  /** The first words, which say that no real model answers. */
  readonly mark: string;
  readonly asked: (question: string) => string;
  readonly generic: string;
  /** The sentence before the steps of a reinstallation, and the steps. */
  readonly reinstall: string;
  readonly steps: readonly string[];
  readonly heading: string;
  readonly points: readonly string[];
  readonly code: string;
  readonly table: readonly (readonly [string, string])[];
  readonly section: string;
  readonly filler: string;
  readonly note: string;
  /** How to make the stand-in use a tool. @param words what to say, which is English in all languages */
  readonly tools: (words: string) => string;
}

/** The answers' words. */
export const PHRASES: Record<Language, Phrases> = {
  en: {
    mark: '[Stand-in model]',
    asked: (question) => `You asked: "${question}".`,
    generic: 'A real model would answer your question here.',
    reinstall: 'To reinstall the software:',
    steps: [
      'Save your data.',
      'Uninstall it in the system settings.',
      'Restart the computer.',
      'Download the installer from the official site and run it.',
      'Sign in again.',
    ],
    heading: 'What you see here',
    points: ['**Markdown**, as a real model writes it', 'an answer in the language of the question', 'made-up text'],
    code: 'no real model was called',
    table: [
      ['Part', 'State'],
      ['service', 'works'],
      ['model', 'a stand-in'],
    ],
    section: 'Section',
    filler:
      'This paragraph says nothing of substance. It is here so that a long answer can be seen: how it scrolls, how ' +
      'it streams, and what a page does with it. A real model would go into the matter in as many words as it takes.',
    note: 'No real model answered: set ANTHROPIC_API_KEY to use one.',
    tools: (words) => `To see a tool at work, say ${words}.`,
  },
  es: {
    mark: '[Modelo de prueba]',
    asked: (question) => `Has preguntado: «${question}».`,
    generic: 'Un modelo de verdad respondería aquí a tu pregunta.',
    reinstall: 'Para reinstalar el software:',
    steps: [
      'Guarda tus datos.',
      'Desinstálalo desde los ajustes del sistema.',
      'Reinicia el equipo.',
      'Descarga el instalador de la página oficial y ejecútalo.',
      'Inicia sesión de nuevo.',
    ],
    heading: 'Lo que ves aquí',
    points: [
      '**Markdown**, como lo escribe un modelo real',
      'una respuesta en el idioma de la pregunta',
      'texto inventado',
    ],
    code: 'no se ha llamado a ningún modelo real',
    table: [
      ['Parte', 'Estado'],
      ['servicio', 'funciona'],
      ['modelo', 'de prueba'],
    ],
    section: 'Apartado',
    filler:
      'Este párrafo no dice nada de interés. Está para que se vea una respuesta larga: cómo se desplaza, cómo llega ' +
      'poco a poco y qué hace una página con ella. Un modelo de verdad entraría en materia con todo el detalle.',
    note: 'Ningún modelo real ha respondido: define ANTHROPIC_API_KEY para usar uno.',
    tools: (words) => `Para ver una herramienta en acción, escribe ${words}.`,
  },
  de: {
    mark: '[Testmodell]',
    asked: (question) => `Du hast gefragt: „${question}“.`,
    generic: 'Ein echtes Modell würde hier deine Frage beantworten.',
    reinstall: 'So installierst du die Software neu:',
    steps: [
      'Sichere deine Daten.',
      'Deinstalliere sie in den Systemeinstellungen.',
      'Starte den Rechner neu.',
      'Lade das Installationsprogramm von der offiziellen Seite und führe es aus.',
      'Melde dich wieder an.',
    ],
    heading: 'Was hier zu sehen ist',
    points: [
      '**Markdown**, wie es ein echtes Modell schreibt',
      'eine Antwort in der Sprache der Frage',
      'erfundener Text',
    ],
    code: 'kein echtes Modell wurde gerufen',
    table: [
      ['Teil', 'Zustand'],
      ['Dienst', 'läuft'],
      ['Modell', 'zum Testen'],
    ],
    section: 'Abschnitt',
    filler:
      'Dieser Absatz sagt nichts von Belang. Er steht hier, damit eine lange Antwort zu sehen ist: wie sie rollt, wie ' +
      'sie nach und nach kommt und was eine Seite daraus macht. Ein echtes Modell ginge hier auf die Sache ein.',
    note: 'Kein echtes Modell hat geantwortet: setze ANTHROPIC_API_KEY, um eines zu benutzen.',
    tools: (words) => `Um ein Werkzeug bei der Arbeit zu sehen, schreibe ${words}.`,
  },
  fr: {
    mark: '[Modèle d’essai]',
    asked: (question) => `Vous avez demandé : « ${question} ».`,
    generic: 'Un vrai modèle répondrait ici à votre question.',
    reinstall: 'Pour réinstaller le logiciel :',
    steps: [
      'Sauvegardez vos données.',
      'Désinstallez-le dans les réglages du système.',
      'Redémarrez l’ordinateur.',
      'Téléchargez le programme d’installation sur le site officiel et lancez-le.',
      'Reconnectez-vous.',
    ],
    heading: 'Ce que vous voyez ici',
    points: [
      'du **Markdown**, comme en écrit un vrai modèle',
      'une réponse dans la langue de la question',
      'un texte inventé',
    ],
    code: 'aucun vrai modèle n’a été appelé',
    table: [
      ['Partie', 'État'],
      ['service', 'fonctionne'],
      ['modèle', 'd’essai'],
    ],
    section: 'Partie',
    filler:
      'Ce paragraphe ne dit rien d’important. Il est là pour montrer une longue réponse : comment elle défile, comment ' +
      'elle arrive peu à peu et ce qu’une page en fait. Un vrai modèle entrerait dans le vif du sujet.',
    note: 'Aucun vrai modèle n’a répondu : définissez ANTHROPIC_API_KEY pour en utiliser un.',
    tools: (words) => `Pour voir un outil à l’œuvre, écrivez ${words}.`,
  },
  pt: {
    mark: '[Modelo de teste]',
    asked: (question) => `Você perguntou: “${question}”.`,
    generic: 'Um modelo de verdade responderia aqui à sua pergunta.',
    reinstall: 'Para reinstalar o software:',
    steps: [
      'Guarde os seus dados.',
      'Desinstale-o nas configurações do sistema.',
      'Reinicie o computador.',
      'Baixe o instalador do site oficial e execute-o.',
      'Entre de novo na sua conta.',
    ],
    heading: 'O que você vê aqui',
    points: ['**Markdown**, como um modelo real escreve', 'uma resposta na língua da pergunta', 'texto inventado'],
    code: 'nenhum modelo real foi chamado',
    table: [
      ['Parte', 'Estado'],
      ['serviço', 'funciona'],
      ['modelo', 'de teste'],
    ],
    section: 'Seção',
    filler:
      'Este parágrafo não diz nada de importante. Está aqui para mostrar uma resposta longa: como ela rola, como chega ' +
      'aos poucos e o que uma página faz com ela. Um modelo de verdade trataria do assunto com todo o detalhe.',
    note: 'Nenhum modelo real respondeu: defina ANTHROPIC_API_KEY para usar um.',
    tools: (words) => `Para ver uma ferramenta em ação, escreva ${words}.`,
  },
  it: {
    mark: '[Modello di prova]',
    asked: (question) => `Hai chiesto: «${question}».`,
    generic: 'Un vero modello risponderebbe qui alla tua domanda.',
    reinstall: 'Per reinstallare il software:',
    steps: [
      'Salva i tuoi dati.',
      'Disinstallalo dalle impostazioni del sistema.',
      'Riavvia il computer.',
      'Scarica il programma di installazione dal sito ufficiale ed eseguilo.',
      'Accedi di nuovo.',
    ],
    heading: 'Che cosa vedi qui',
    points: [
      '**Markdown**, come lo scrive un vero modello',
      'una risposta nella lingua della domanda',
      'testo inventato',
    ],
    code: 'nessun vero modello è stato chiamato',
    table: [
      ['Parte', 'Stato'],
      ['servizio', 'funziona'],
      ['modello', 'di prova'],
    ],
    section: 'Parte',
    filler:
      'Questo paragrafo non dice nulla di importante. Serve a mostrare una risposta lunga: come scorre, come arriva a ' +
      'poco a poco e che cosa ne fa una pagina. Un vero modello entrerebbe nel merito con tutti i particolari.',
    note: 'Nessun vero modello ha risposto: imposta ANTHROPIC_API_KEY per usarne uno.',
    tools: (words) => `Per vedere uno strumento all’opera, scrivi ${words}.`,
  },
  zh: {
    mark: '[测试模型]',
    asked: (question) => `您的问题是：“${question}”。`,
    generic: '真正的模型会在这里回答您的问题。',
    reinstall: '重新安装软件的步骤：',
    steps: ['备份数据。', '在系统设置中卸载软件。', '重新启动电脑。', '从官方网站下载并运行安装程序。', '重新登录。'],
    heading: '您在这里看到的内容',
    points: ['真正的模型所写的 **Markdown**', '与问题相同语言的回答', '虚构的文字'],
    code: '没有调用真正的模型',
    table: [
      ['部分', '状态'],
      ['服务', '正常'],
      ['模型', '测试用'],
    ],
    section: '章节',
    filler:
      '这一段没有实际内容。它只是为了展示一个很长的回答：页面如何滚动，文字如何逐步出现，以及页面如何显示它。真正的模型会在这里详细说明。',
    note: '没有真正的模型作答：请设置 ANTHROPIC_API_KEY 以使用真正的模型。',
    tools: (words) => `想看工具如何工作，请输入 ${words}。`,
  },
  ja: {
    mark: '[テスト用モデル]',
    asked: (question) => `ご質問：「${question}」。`,
    generic: '本物のモデルなら、ここでご質問にお答えします。',
    reinstall: 'ソフトウェアを再インストールするには：',
    steps: [
      'データを保存します。',
      'システム設定でアンインストールします。',
      'コンピューターを再起動します。',
      '公式サイトからインストーラーをダウンロードして実行します。',
      'もう一度サインインします。',
    ],
    heading: 'ここに表示されているもの',
    points: ['本物のモデルが書くような **Markdown**', '質問と同じ言語の回答', '架空の文章'],
    code: '本物のモデルは呼び出されていません',
    table: [
      ['部分', '状態'],
      ['サービス', '動作中'],
      ['モデル', 'テスト用'],
    ],
    section: '節',
    filler:
      'この段落に内容はありません。長い回答がどのようにスクロールし、少しずつ届き、ページにどう表示されるかを見るためのものです。本物のモデルなら、ここで詳しく説明します。',
    note: '本物のモデルは回答していません。使うには ANTHROPIC_API_KEY を設定してください。',
    tools: (words) => `ツールが動くところを見るには、${words} と入力してください。`,
  },
};
