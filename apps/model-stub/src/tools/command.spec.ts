import { describe, expect, it } from '@jest/globals';
import { type AskedCall, type Command, readCommand } from './command.js';

const NAMES = new Set(['find_order', 'cancel_order', 'pick_date', 'clock']);

const call = (name: string, more: Partial<AskedCall> = {}): AskedCall => ({
  name,
  input: undefined,
  manner: undefined,
  ...more,
});
const calls = (...steps: AskedCall[][]): Command => ({ type: 'calls', steps });
const fault = (reason: string): Command => ({ type: 'fault', reason });

describe('a command to use tools', () => {
  it.each<[words: string, command: Command]>([
    ['use find_order', calls([call('find_order')])],
    ['Please use the `find_order` tool.', calls([call('find_order')])],
    [
      'My order is late: use find_order {"id": "}{", "n": [1]}!',
      calls([call('find_order', { input: { id: '}{', n: [1] } })]),
    ],
    ['use find_order with {"id":"4711"}', calls([call('find_order', { input: { id: '4711' } })])],
    ['use find_order and pick_date', calls([call('find_order'), call('pick_date')])],
    ['use find_order, clock, and pick_date', calls([call('find_order'), call('clock'), call('pick_date')])],
    [
      'use find_order {"id":"1"} and cancel_order {"id":"2"}',
      calls([call('find_order', { input: { id: '1' } }), call('cancel_order', { input: { id: '2' } })]),
    ],
    [
      'use find_order then use pick_date and clock, then cancel_order',
      calls([call('find_order')], [call('pick_date'), call('clock')], [call('cancel_order')]),
    ],
    ['use clock. Then use pick_date.', calls([call('clock')], [call('pick_date')])],
    ['use clock 3 times', calls([call('clock'), call('clock'), call('clock')])],
    ['use find_order with wrong input', calls([call('find_order', { manner: 'with wrong input' })])],
    ['use find_order cut off', calls([call('find_order', { manner: 'cut off' })])],
    ['use `rm` anyway', calls([call('rm', { manner: 'anyway' })])],
    ['use find_order and tell me what you find', calls([call('find_order')])],
    ['use find_order then tell me', calls([call('find_order')])],
    ['which tools do you have?', { type: 'list' }],
    ['use find_orders', fault('I have no tool named `find_orders`.')],
    ['use hammer', fault('I have no tool named `hammer`.')],
    ['use clock then use the hammer then `saw`', fault('I have no tool named `hammer` or `saw`.')],
    ['use clock then use hammer and go home', calls([call('clock')])],
    ['use find_order {"id": 4711', fault('What follows `find_order` is not a JSON object.')],
    ['use clock 999 times', fault('I make at most 200 calls.')],
  ])('is read: %s', (words, command) => {
    expect(readCommand(words, NAMES)).toEqual(command);
  });

  it.each(['How do I use the software?', 'use your head, please', 'What is the use of it?', 'because clock', ''])(
    'is not what other texts say: %s',
    (words) => {
      expect(readCommand(words, NAMES)).toBeUndefined();
    },
  );
});
