import type { ScriptBlock } from '../script-blocks.js';

const PAGE = { url: 'https://example.com/stand-in', title: 'A page that the stand-in made up' };

/** The result of a tool that the API runs, and for a search a sentence with its source. @param input what was searched or fetched */
export function serverResult(name: string, id: string | undefined, input: unknown): ScriptBlock[] {
  const of = id === undefined ? {} : { tool_use_id: id };
  if (name === 'web_search') {
    const encrypted = Buffer.from(JSON.stringify(input)).toString('base64');
    return [
      {
        type: 'web_search_tool_result',
        ...of,
        content: [{ type: 'web_search_result', ...PAGE, encrypted_content: encrypted, page_age: null }],
      },
      {
        type: 'text',
        text: 'The page says that no real search was made.',
        citations: [
          {
            type: 'web_search_result_location',
            ...PAGE,
            cited_text: 'No real search was made.',
            encrypted_index: encrypted,
          },
        ],
      },
    ];
  }
  const kind = name.startsWith('tool_search') ? 'tool_search' : name;
  const fault = { type: `${kind}_tool_result_error`, error_code: 'unavailable' };
  return [{ type: 'server_tool_result', kind, ...of, content: fault }];
}
